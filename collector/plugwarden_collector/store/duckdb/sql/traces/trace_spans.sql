-- Spans of one trace within a run of batches, as they are stored: what the view says in words is said in trace_rows.py, for to plan
-- that costs more than to read. Takes: hi, lo, first, last (ubigint), chosen (ubigint[]: ids of spans; null: all). Gives one row a span.
select
    span_id, parent_span_id, name, kind, service_name, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type,
    downstream, started_at, duration_ns, status_code, status_message, attributes, events
from span_rows
where batch between $first::ubigint and $last::ubigint and trace_lo = $lo::ubigint and trace_hi = $hi::ubigint
  and ($chosen::ubigint[] is null or span_id in (select unnest($chosen::ubigint[])))
