-- Forget the limits of minutes beyond their age. Takes: before (timestamp).
delete from limit_minutes where bucket_start < $before::timestamp
