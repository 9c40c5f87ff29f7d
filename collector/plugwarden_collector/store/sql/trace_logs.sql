-- Log records of one trace. Takes: hi, lo (ubigint), since, until (timestamp). Gives: time, severity_text, body, plugin_id,
-- span_id.
select time, severity_text, body, plugin_id, format('{:016x}', span_id) as span_id
from log_rows
where trace_hi = $hi::ubigint and trace_lo = $lo::ubigint and time between $since::timestamp and $until::timestamp
order by time limit 1000
