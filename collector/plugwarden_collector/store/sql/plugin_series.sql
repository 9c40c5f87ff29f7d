-- One plugin's calls per step, version and outcome. Takes: plugin (varchar), since, until (timestamp), step (double, s).
-- Gives: time, plugin_version, outcome, error_source, calls, duration_seconds_sum, cpu_seconds.
select
    make_timestamp((floor(epoch(bucket_start) / $step) * $step * 1000000)::bigint) as time,
    plugin_version, outcome, error_source, sum(calls)::bigint as calls,
    sum(duration_seconds_sum) as duration_seconds_sum, sum(cpu_seconds) as cpu_seconds
from call_rows
where plugin_id = $plugin and bucket_start > $since::timestamp and bucket_start <= $until::timestamp
group by all order by time
