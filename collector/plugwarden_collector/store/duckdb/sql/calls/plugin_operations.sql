-- One plugin's operations by version. Takes: plugin (varchar), the span of time (store/duckdb/calls/resolutions.py).
-- Gives: plugin_version, plugin_operation, calls, failed, rejected, mean_seconds, max_seconds, cpu_seconds.
select
    plugin_version, plugin_operation, bounded(sum(calls)) as calls,
    bounded(sum(calls) filter (contract.failed(outcome))) as failed,
    bounded(sum(calls) filter (contract.refused(outcome))) as rejected,
    sum(duration_seconds_sum) / nullif(sum(calls) filter (contract.ran(outcome)), 0) as mean_seconds,
    max(duration_seconds_max) as max_seconds, sum(cpu_seconds) as cpu_seconds,
    min(bucket_start) as first_at, max(bucket_start) as last_at
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where plugin_id = $plugin
group by all order by plugin_version desc, calls desc
