-- Forget minute rollups beyond their age. Takes: before (timestamp).
delete from call_minutes where bucket_start < $before::timestamp
