-- What some traces are like, from the spans in some runs of batches. Takes: hi, lo (ubigint[], one entry a trace), firsts,
-- lasts (ubigint[], one entry a run), first, last (ubigint: the least and the greatest of them). Gives: trace_id, started_at,
-- root, service_name, duration_seconds, spans, errors, plugins.
with hits as (select unnest($hi::ubigint[]) as trace_hi, unnest($lo::ubigint[]) as trace_lo),
runs as (select unnest($firsts::ubigint[]) as first, unnest($lasts::ubigint[]) as last)
select
    hex_id(trace_hi, trace_lo) as trace_id,
    min(started_at) as started_at,
    coalesce(arg_min(name, started_at) filter (parent_span_id is null), arg_min(name, started_at)) as root,
    any_value(service_name) as service_name,
    (epoch_us(max(started_at + to_microseconds(duration_ns // 1000))) - epoch_us(min(started_at))) / 1e6 as duration_seconds,
    count(*) as spans, count(*) filter (status_code = 2) as errors,
    list(distinct plugin_id order by plugin_id) filter (plugin_id is not null) as plugins
from span_rows join hits using (trace_hi, trace_lo)
where batch between $first::ubigint and $last::ubigint
  and exists (from runs where span_rows.batch between runs.first and runs.last)
group by trace_hi, trace_lo order by started_at desc
