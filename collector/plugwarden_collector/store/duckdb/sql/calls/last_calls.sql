-- When each plugin, or each operation of it, was called last within a span of time, and whether it was called within the same hours on
-- each of so many days before. Refused calls count. Takes: the span of time (store/duckdb/calls/resolutions.py), at (timestamp), quiet_since
-- (timestamp: what was not called after it is quiet, and only that is looked at closer), days (bigint), by_operation (boolean).
-- Gives: plugin_id, plugin_operation (empty unless by operation), services (varchar[]), first_at, last_at, longest_seconds (the longest
-- pause of what is quiet), days (bigint[], of what is quiet).
with called as not materialized (
    select
        plugin_id, case when $by_operation::boolean then coalesce(plugin_operation, '') else '' end as plugin_operation, bucket_start,
        service_name
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    where calls > 0 and plugin_id <> contract.overflow
),
last as materialized (
    select
        plugin_id, plugin_operation, list(distinct service_name) as services, min(bucket_start) as first_at, max(bucket_start) as last_at
    from called
    group by all
),
quiet as materialized (from last where last_at < $quiet_since::timestamp),
minutes as materialized (
    select distinct plugin_id, plugin_operation, bucket_start from called semi join quiet using (plugin_id, plugin_operation)
),
paused as (
    select plugin_id, plugin_operation, max(epoch(pause)) as longest_seconds
    from (
        select *, bucket_start - lag(bucket_start) over (partition by plugin_id, plugin_operation order by bucket_start) as pause
        from minutes
    )
    group by all
),
usual as (
    select plugin_id, plugin_operation, list(distinct day) as days
    from minutes
    join quiet using (plugin_id, plugin_operation)
    join range(1, $days::bigint + 1) as before (day)
        on bucket_start > last_at - to_days(day::integer) and bucket_start <= $at::timestamp - to_days(day::integer)
    group by all
)
select last.*, coalesce(longest_seconds, 0) as longest_seconds, coalesce(days, []) as days
from last
left join paused using (plugin_id, plugin_operation)
left join usual using (plugin_id, plugin_operation)
order by plugin_id, plugin_operation
