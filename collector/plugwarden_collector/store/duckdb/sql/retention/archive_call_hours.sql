-- Hours from before a moment. Takes: before (timestamp).
select * from call_hours where bucket_start < $before::timestamp
