-- What each plugin asks of its hosts for each tenant, from the seconds, which alone tell tenants apart. Takes: since, until (timestamp), plugin
-- (varchar or null: all), slot (double, seconds), begin, end (double, seconds since 1970: the part of the span that has seconds).
-- Gives: as demand.sql, with tenant_id (empty: none).
with slots as (
    select
        plugin_id, tenant_id, floor(epoch(bucket_start) / $slot::double) * $slot::double as slot, sum(calls) as calls,
        sum(duration_seconds_sum) filter (contract.ran(outcome)) as busy, sum(cpu_seconds) as cpu
    from call_seconds
    where bucket_start > $since::timestamp and bucket_start <= $until::timestamp and (plugin_id = $plugin or $plugin is null)
    group by all
),
timed as (
    select *, greatest(least(slot + $slot::double, $end::double) - greatest(slot, $begin::double), least($slot::double, 60)) as seconds
    from slots
)
select
    plugin_id, null::varchar as plugin_operation, tenant_id, bounded(sum(calls)) as calls, $end::double - $begin::double as over_seconds,
    sum(calls) / over_seconds as calls_per_second, max(calls / seconds) as peak_calls_per_second, $slot::double as peak_over_seconds,
    sum(busy) / over_seconds as concurrency, max(busy / seconds) as peak_concurrency,
    nullif(sum(cpu), 0) / over_seconds as cpu_cores, nullif(max(cpu / seconds), 0) as peak_cpu_cores
from timed
group by plugin_id, tenant_id
order by cpu_cores desc nulls last, calls desc, plugin_id, tenant_id
