-- Forget log records from before a moment, of commits up to one. Takes: before (timestamp), batch (ubigint). Gives how many.
delete from log_rows where time < $before::timestamp and batch <= $batch::ubigint
