-- Forget the waits of minutes beyond their age. Takes: before (timestamp).
delete from wait_minutes where bucket_start < $before::timestamp
