-- Let go of seconds that the minutes hold. Takes: before (timestamp).
delete from call_seconds where bucket_start < $before::timestamp
