-- Forget waits beyond their age. Takes: before (timestamp).
delete from wait_seconds where bucket_start < $before::timestamp
