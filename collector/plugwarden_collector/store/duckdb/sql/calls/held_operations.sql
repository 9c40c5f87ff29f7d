-- What holds each operation, as its host processes told last, added up over them and its versions.
-- Takes: since, until (timestamp). Gives: plugin_id, plugin_operation, instances, owner, declared_concurrency, concurrency,
-- calls_per_second, cpu_cores, memory_bytes, memory_limit_bytes (of all workers), most_running; null is what none told.
with told as (
    select
        plugin_id, coalesce(plugin_version, '') as plugin_version, coalesce(plugin_operation, '') as plugin_operation, instance_id, metric,
        coalesce(attributes ->> '$."plugin.term"', '') as term, attributes ->> '$."plugin.owner"' as owner, value, time
    from point_rows
    -- What no host can mean, not even a number, says nothing: one such value would be the sum.
    where kind = 'gauge' and value between 0 and 1e18 and plugin_id is not null and time > $since::timestamp - interval 2 minutes and time <= $until::timestamp
      and metric in (
        'plugin.invocation.active', 'plugin.terms.declared', 'plugin.terms.enforced', 'plugin.terms.observed', 'plugin.memory.usage',
        'plugin.workers'
      )
),
-- Gauges that do not change are told once a minute: who was silent for two, while others told, is gone.
newest as (select max(time) as told_at from told where metric = 'plugin.invocation.active'),
present as (
    select distinct plugin_id, plugin_version, plugin_operation, instance_id from told, newest
    where metric = 'plugin.invocation.active' and time > told_at - interval 2 minutes
),
each as (
    select
        plugin_id, plugin_version, plugin_operation, instance_id, max(owner) as owner,
        arg_max(value, time) filter (metric = 'plugin.terms.declared' and term = 'concurrency') as declared_concurrency,
        arg_max(value, time) filter (metric = 'plugin.terms.enforced' and term = 'concurrency') as concurrency,
        arg_max(value, time) filter (metric = 'plugin.terms.enforced' and term = 'rate') as calls_per_second,
        arg_max(value, time) filter (metric = 'plugin.terms.enforced' and term = 'cpu') as cpu_cores,
        arg_max(value, time) filter (metric = 'plugin.terms.enforced' and term = 'memory') as memory_each,
        arg_max(value, time) filter (metric = 'plugin.memory.usage') as memory_bytes,
        arg_max(value, time) filter (metric = 'plugin.workers') as workers,
        greatest(
            max(value) filter (metric = 'plugin.invocation.active'),
            max(value) filter (metric = 'plugin.terms.observed' and term = 'concurrency')
        ) as most_running
    from told semi join present using (plugin_id, plugin_version, plugin_operation, instance_id)
    group by all
)
select
    plugin_id, plugin_operation, count(distinct instance_id) as instances, max(owner) as owner,
    -- A process without the limit has none, and so have all together.
    if(count(declared_concurrency) = count(*), sum(declared_concurrency), null) as declared_concurrency,
    if(count(concurrency) = count(*), sum(concurrency), null) as concurrency,
    if(count(calls_per_second) = count(*), sum(calls_per_second), null) as calls_per_second,
    if(count(cpu_cores) = count(*), sum(cpu_cores), null) as cpu_cores,
    try_cast(sum(memory_bytes) as bigint) as memory_bytes,
    if(count(memory_each) = count(*), sum(memory_each * workers), null) as memory_limit_bytes,
    try_cast(sum(most_running) as bigint) as most_running
from each
group by plugin_id, plugin_operation
order by plugin_id, plugin_operation
