-- What some traces are like, from all spans of them in some runs of batches. Takes: hi, lo (ubigint[], one entry a trace), first,
-- last (bigint[], one entry a run: those that may hold any of them). Gives: trace_id, started_at, root, service_name,
-- duration_seconds, spans, errors, plugins.
-- In two steps, because half an id is all that the many rows need to be looked at for; the few that are found are read in full.
with hits as (select unnest($hi::ubigint[]) as trace_hi, unnest($lo::ubigint[]) as trace_lo),
found as materialized (
    select rowid as row from span_rows
    where trace_lo in (select trace_lo from hits) and batch in (
        select unnest(range(first, last + 1))::ubigint
        from (select unnest($first::bigint[]) as first, unnest($last::bigint[]) as last))
),
spans as materialized (
    select trace_hi, trace_lo, started_at, name, parent_span_id, service_name, duration_ns, status_code, plugin_id
    from span_rows where rowid in (select row from found)
)
select
    hex_id(trace_hi, trace_lo) as trace_id,
    min(started_at) as started_at,
    coalesce(arg_min(name, started_at) filter (parent_span_id is null), arg_min(name, started_at)) as root,
    any_value(service_name) as service_name,
    (epoch_us(max(started_at + to_microseconds(duration_ns // 1000))) - epoch_us(min(started_at))) / 1e6 as duration_seconds,
    count(*) as spans, count(*) filter (status_code = 2) as errors,
    list(distinct plugin_id order by plugin_id) filter (plugin_id is not null) as plugins
from spans semi join hits using (trace_hi, trace_lo)
group by trace_hi, trace_lo order by started_at desc
