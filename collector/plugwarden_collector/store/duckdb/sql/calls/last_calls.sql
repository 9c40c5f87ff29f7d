-- When each plugin, or each operation of it, was called last within a span of time, and whether it was called within the same hours on
-- each of so many days before. Refused calls count. Takes: the span of time (store/duckdb/calls/resolutions.py), at (timestamp), quiet_since
-- (timestamp: days are looked at for what was not called after it), days (bigint), by_operation (boolean).
-- Gives: plugin_id, plugin_operation (empty unless by operation), services (varchar[]), first_at, last_at, longest_seconds, days (bigint[]).
with called as materialized (
    select
        plugin_id, case when $by_operation::boolean then coalesce(plugin_operation, '') else '' end as plugin_operation, bucket_start,
        list(distinct service_name) as services
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    where calls > 0 and plugin_id <> contract.overflow
    group by all
),
paused as (
    select *, bucket_start - lag(bucket_start) over (partition by plugin_id, plugin_operation order by bucket_start) as pause
    from called
),
last as (
    select
        plugin_id, plugin_operation, list_distinct(flatten(list(services))) as services, min(bucket_start) as first_at,
        max(bucket_start) as last_at, coalesce(max(epoch(pause)), 0) as longest_seconds
    from paused
    group by all
),
usual as (
    select plugin_id, plugin_operation, list(distinct day) as days
    from (
        from last
        join range(1, $days::bigint + 1) as before (day) on last_at < $quiet_since::timestamp
        join called using (plugin_id, plugin_operation)
        where bucket_start > last_at - to_days(day::integer) and bucket_start <= $at::timestamp - to_days(day::integer)
    )
    group by all
)
select last.*, coalesce(usual.days, []) as days from last left join usual using (plugin_id, plugin_operation) order by plugin_id, plugin_operation
