-- Rows of logs from before a moment, of commits up to one, as the view shows them. Takes: before (timestamp), batch (ubigint).
select * from logs where time < $before::timestamp and batch <= $batch::ubigint
