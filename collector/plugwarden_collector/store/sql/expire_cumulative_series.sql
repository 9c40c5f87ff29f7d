-- Forget series that no longer send. Takes: before (timestamp).
delete from cumulative_series where time < $before::timestamp
