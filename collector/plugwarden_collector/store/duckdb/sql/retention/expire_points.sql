-- Forget metric points from before a moment, of commits up to one. Takes: before (timestamp), batch (ubigint). Gives how many.
delete from point_rows where time < $before::timestamp and batch <= $batch::ubigint
