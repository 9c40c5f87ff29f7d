-- The machines that run plugins at the end of a span, and what these used of them. Takes: the span of time (store/duckdb/calls/resolutions.py),
-- slot, begin, end as demand.sql, told_since (timestamp). Gives: host_name (that of the process where it names no machine), instances that
-- are there, processors, cpu_cores, peak_cpu_cores.
with named as (
    select instance_id, max(coalesce(nullif(left(host_name, contract.max_name), ''), instance_id)) as host_name
    from resources group by all
),
told as (
    select
        instance_id, max(time) filter (metric = 'plugin.invocation.active') as told_at,
        max(value) filter (metric = 'plugin.terms.enforced' and attributes ->> '$."plugin.term"' = 'processors' and value between 0 and 1e18) as processors
    from point_rows
    where kind = 'gauge' and metric in ('plugin.invocation.active', 'plugin.terms.enforced')
      and time > $told_since::timestamp - interval 2 minutes and time <= $until::timestamp
    group by all
),
slots as (
    select
        coalesce(host_name, instance_id) as host_name, instance_id,
        floor(epoch(bucket_start) / $slot::double) * $slot::double as slot, sum(cpu_seconds) as cpu
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    left join named using (instance_id)
    group by all
),
-- Gauges are told once a minute: who was silent for two, while others told, is gone (as in held_operations.sql). Who tells none is
-- there while it makes calls.
present as (
    select host_name, instance_id, processors from slots left join told using (instance_id)
    group by host_name, instance_id, processors, told_at
    having coalesce(
        told_at > (select max(told_at) from told) - interval 2 minutes, max(slot) + $slot::double > epoch($told_since::timestamp))
),
hosts as (
    select host_name, count(distinct instance_id) as instances, max(processors) as processors from present group by host_name
),
timed as (
    select
        host_name, sum(cpu) as cpu,
        greatest(least(slot + $slot::double, $end::double) - greatest(slot, $begin::double), least($slot::double, 60)) as seconds
    from slots group by host_name, slot
)
select
    host_name, instances, processors, nullif(sum(cpu), 0) / ($end::double - $begin::double) as cpu_cores,
    nullif(max(cpu / seconds), 0) as peak_cpu_cores
from hosts join timed using (host_name)
group by host_name, instances, processors
order by host_name
