-- Forget spans from before a moment, of commits up to one. Takes: before (timestamp), batch (ubigint). Gives how many.
delete from span_rows where started_at < $before::timestamp and batch <= $batch::ubigint
