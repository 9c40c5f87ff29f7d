-- Let go of the hours of a span of time that are written anew. Takes: first, before (timestamp).
delete from call_hours where bucket_start >= $first::timestamp and bucket_start < $before::timestamp
