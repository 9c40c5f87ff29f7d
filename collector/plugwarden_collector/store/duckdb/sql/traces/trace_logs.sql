-- Log records of one trace, in no order. Takes: hi, lo (ubigint), since, until (timestamp). Gives: time, severity_text, body,
-- plugin_id, span_id (ubigint).
select time, severity_text, body, plugin_id, span_id
from log_rows
where trace_hi = $hi::ubigint and trace_lo = $lo::ubigint and time between $since::timestamp and $until::timestamp limit 1000
