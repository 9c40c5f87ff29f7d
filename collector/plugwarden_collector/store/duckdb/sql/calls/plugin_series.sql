-- One plugin's calls per step, version and outcome. Takes: plugin (varchar), the span of time (store/duckdb/calls/resolutions.py), step (double, s).
-- Gives: time, plugin_version, outcome, error_source, calls, duration_seconds_sum, cpu_seconds.
select
    make_timestamp((floor(epoch(bucket_start) / $step) * $step * 1000000)::bigint) as time,
    plugin_version, outcome, error_source, bounded(sum(calls)) as calls,
    sum(duration_seconds_sum) as duration_seconds_sum, sum(cpu_seconds) as cpu_seconds
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where plugin_id = $plugin
group by all order by time
