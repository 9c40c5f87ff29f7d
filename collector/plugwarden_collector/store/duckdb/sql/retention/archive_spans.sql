-- Rows of spans from before a moment, of commits up to one, as the view shows them. Takes: before (timestamp), batch (ubigint).
select * from spans where started_at < $before::timestamp and batch <= $batch::ubigint
