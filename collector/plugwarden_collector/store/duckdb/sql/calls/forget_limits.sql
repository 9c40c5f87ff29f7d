-- Let go of the limits of minutes that are written anew. Takes: first, before (timestamp).
delete from limit_minutes where bucket_start >= $first::timestamp and bucket_start < $before::timestamp
