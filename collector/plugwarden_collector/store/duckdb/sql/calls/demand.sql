-- What each plugin, or each operation of it, asks of its hosts. Takes: the span of time (store/duckdb/calls/resolutions.py), plugin (varchar
-- or null: all), by_operation (boolean), slot (double, seconds: what peaks are means over, no finer than the span's cells), begin, end
-- (double, seconds since 1970: the part of the span that has data).
-- Gives: plugin_id, plugin_operation (null: all), tenant_id (null), calls, over_seconds, calls_per_second, peak_calls_per_second,
-- peak_over_seconds, concurrency (Little's law: busy seconds per second), peak_concurrency, cpu_cores, peak_cpu_cores.
with slots as (
    select
        plugin_id, if($by_operation::boolean, plugin_operation, null) as plugin_operation,
        floor(epoch(bucket_start) / $slot::double) * $slot::double as slot, sum(calls) as calls,
        sum(duration_seconds_sum) filter (contract.ran(outcome)) as busy, sum(cpu_seconds) as cpu
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    where plugin_id = $plugin or $plugin is null
    group by all
),
timed as (
    -- The first and the last of them have data for a part of their length; for less than a minute of it nothing is a peak.
    select *, greatest(least(slot + $slot::double, $end::double) - greatest(slot, $begin::double), least($slot::double, 60)) as seconds
    from slots
)
select
    plugin_id, plugin_operation, null::varchar as tenant_id, bounded(sum(calls)) as calls, $end::double - $begin::double as over_seconds,
    sum(calls) / over_seconds as calls_per_second, max(calls / seconds) as peak_calls_per_second, $slot::double as peak_over_seconds,
    sum(busy) / over_seconds as concurrency, max(busy / seconds) as peak_concurrency,
    nullif(sum(cpu), 0) / over_seconds as cpu_cores, nullif(max(cpu / seconds), 0) as peak_cpu_cores
from timed
group by plugin_id, plugin_operation
order by cpu_cores desc nulls last, concurrency desc nulls last, plugin_id, plugin_operation
