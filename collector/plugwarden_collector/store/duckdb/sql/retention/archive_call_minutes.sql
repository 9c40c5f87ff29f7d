-- Minutes from before a moment. Takes: before (timestamp).
select * from call_minutes where bucket_start < $before::timestamp
