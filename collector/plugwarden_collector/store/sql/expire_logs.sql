-- Forget raw rows beyond their age. Takes: before (timestamp).
delete from log_rows where time < $before::timestamp
