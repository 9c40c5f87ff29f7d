-- Forget hour rollups beyond their age. Takes: before (timestamp).
delete from call_hours where bucket_start < $before::timestamp
