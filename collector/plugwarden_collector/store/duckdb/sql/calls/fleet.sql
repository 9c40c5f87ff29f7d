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
        bounded(sum(calls) filter (contract.failed(outcome))) as failed,
        bounded(sum(calls) filter (contract.at_fault(outcome, error_source))) as bad,
        bounded(sum(calls) filter (contract.refused(outcome))) as rejected,
        sum(cpu_seconds) as cpu_seconds, sum(duration_seconds_sum) as busy_seconds,
        list(distinct plugin_version order by plugin_version) filter (calls > 0) as versions,
        max(bucket_start) as last_at
    from cells group by plugin_id
),
buckets as (
    select plugin_id, index, sum(count) as count from (
        select plugin_id, unnest(bucket_index) as index, unnest(bucket_count) as count
        from cells where contract.ran(outcome)
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
        pow(2, min(index) filter (seen >= 0.50 * whole) / contract.per_octave) * middle as p50_seconds,
        pow(2, min(index) filter (seen >= 0.95 * whole) / contract.per_octave) * middle as p95_seconds,
        pow(2, min(index) filter (seen >= 0.99 * whole) / contract.per_octave) * middle as p99_seconds
    from running, (select 2 * pow(2, 1 / contract.per_octave) / (1 + pow(2, 1 / contract.per_octave)) as middle)
    group by plugin_id, middle
)
select totals.*, calls / $seconds as calls_per_second, p50_seconds, p95_seconds, p99_seconds
from totals left join quantiles using (plugin_id)
order by plugin_id
