-- Load by the hour. Takes: the span of time (store/duckdb/calls/resolutions.py), plugin (varchar or null: all), first (timestamp, a full hour).
-- Gives: plugin_id, hour (bigint, since first), calls, busy (s), cpu (s), as doubles.
select
    plugin_id, (epoch(date_trunc('hour', bucket_start) - $first::timestamp) // 3600)::bigint as hour, sum(calls)::double as calls,
    coalesce(sum(duration_seconds_sum) filter (contract.ran(outcome)), 0) as busy, sum(cpu_seconds) as cpu
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where plugin_id = $plugin or $plugin is null
group by all
