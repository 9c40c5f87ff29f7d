-- One row per plugin over a span of time. Takes: the span of time (store/duckdb/calls/resolutions.py), seconds (double), plugin (varchar or null:
-- all).
-- Gives: plugin_id, calls_per_second, calls, failed, rejected, bad, p50, p95, p99 (s), cpu_seconds, versions, last_at.
with cells as (
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    where plugin_id = $plugin or $plugin is null
),
totals as (
    select
        plugin_id, bounded(sum(calls)) as calls,
        bounded(sum(calls) filter (outcome in ('error', 'timeout'))) as failed,
        bounded(sum(calls) filter (outcome in ('error', 'timeout') and error_source = 'plugin')) as bad,
        bounded(sum(calls) filter (outcome = 'rejected')) as rejected,
        sum(cpu_seconds) as cpu_seconds, sum(duration_seconds_sum) as busy_seconds,
        list(distinct plugin_version order by plugin_version) filter (calls > 0) as versions,
        max(bucket_start) as last_at
    from cells group by plugin_id
),
buckets as (
    select plugin_id, index, sum(count) as count from (
        select plugin_id, unnest(bucket_index) as index, unnest(bucket_count) as count
        from cells where outcome <> 'rejected'
    ) group by all
),
running as (
    select plugin_id, index,
        sum(count) over (partition by plugin_id order by index) as seen, sum(count) over (partition by plugin_id) as whole
    from buckets
),
quantiles as (
    select
        plugin_id,
        pow(2, min(index) filter (seen >= 0.50 * whole) / 16.0) * middle as p50_seconds,
        pow(2, min(index) filter (seen >= 0.95 * whole) / 16.0) * middle as p95_seconds,
        pow(2, min(index) filter (seen >= 0.99 * whole) / 16.0) * middle as p99_seconds
    from running, (select 2 * pow(2, 1 / 16.0) / (1 + pow(2, 1 / 16.0)) as middle)
    group by plugin_id, middle
)
select totals.*, calls / $seconds as calls_per_second, p50_seconds, p95_seconds, p99_seconds
from totals left join quantiles using (plugin_id)
order by plugin_id
