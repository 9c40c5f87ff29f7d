-- Forget raw rows beyond their age. Takes: before (timestamp).
delete from point_rows where time < $before::timestamp
