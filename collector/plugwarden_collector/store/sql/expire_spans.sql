-- Forget raw rows beyond their age. Takes: before (timestamp).
delete from span_rows where started_at < $before::timestamp
