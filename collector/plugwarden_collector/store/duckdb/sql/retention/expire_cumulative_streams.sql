-- Forget streams that no longer send. Takes: before (timestamp).
delete from cumulative_streams where time < $before::timestamp
