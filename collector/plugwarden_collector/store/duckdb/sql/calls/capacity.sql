-- What each plugin asks of its hosts. Takes: the span of time (store/duckdb/calls/resolutions.py), seconds (double).
-- Gives: plugin_id, calls_per_second, concurrency (Little's law: busy seconds per second), cpu_cores, peak_calls_per_second.
with cells as (from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)),
peaks as (
    select plugin_id, max(rate) as peak_calls_per_second from (
        select plugin_id, time_bucket(interval 10 second, bucket_start) as slot, sum(calls) / 10.0 as rate
        from cells group by all
    ) group by plugin_id
)
select
    plugin_id, bounded(sum(calls)) as calls, sum(calls) / $seconds as calls_per_second, peak_calls_per_second,
    sum(duration_seconds_sum) filter (contract.ran(outcome)) / $seconds as concurrency,
    sum(cpu_seconds) / $seconds as cpu_cores
from cells join peaks using (plugin_id)
group by plugin_id, peak_calls_per_second order by cpu_cores desc
