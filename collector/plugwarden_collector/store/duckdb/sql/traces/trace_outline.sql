-- Spans of one trace within a run of batches, and no more of them than it takes to choose some. Takes: hi, lo, first, last (ubigint).
-- Gives: span_id, parent_span_id (ubigint), started_at, failed (boolean).
select span_id, parent_span_id, started_at, status_code = 2 as failed
from span_rows
where batch between $first::ubigint and $last::ubigint and trace_lo = $lo::ubigint and trace_hi = $hi::ubigint
