-- What the gate of one plugin's operations is like, as its hosts last told it, and what it refused.
-- Takes: plugin (varchar), since, until (timestamp). Gives: plugin_version, plugin_operation, breaker_state (the number
-- of BreakerState; the most of all hosts), running, waiting, abandoned, workers, memory_bytes, timeout_seconds and
-- concurrency (declared), longest_seconds and most_running (observed), refusals (reason -> calls).
with latest as (
    select
        plugin_version, plugin_operation, instance_id, metric, attributes ->> '$."plugin.term"' as term,
        case metric when 'plugin.terms.observed' then max(value) else arg_max(value, time) end as value
    from point_rows
    -- Gauges that do not change are told once a minute.
    where plugin_id = $plugin and kind = 'gauge' and value between 0 and 1e18 and time > $since::timestamp - interval 2 minutes and time <= $until::timestamp
    group by plugin_version, plugin_operation, instance_id, metric, attributes ->> '$."plugin.term"'
),
refused as (
    select plugin_version, plugin_operation, attributes ->> '$."plugin.rejection.reason"' as reason, try_cast(sum(value) as bigint) as calls
    from point_rows
    where plugin_id = $plugin and metric = 'plugin.rejections' and time > $since::timestamp and time <= $until::timestamp
    group by all
),
reasons as (
    select plugin_version, plugin_operation, map_from_entries(list((reason, calls) order by calls desc)) as refusals
    from refused group by all
)
select
    plugin_version, plugin_operation,
    try_cast(max(value) filter (metric = 'plugin.breaker.state') as int) as breaker_state,
    try_cast(sum(value) filter (metric = 'plugin.invocation.active') as bigint) as running,
    try_cast(sum(value) filter (metric = 'plugin.invocation.waiting') as bigint) as waiting,
    try_cast(sum(value) filter (metric = 'plugin.invocation.abandoned') as bigint) as abandoned,
    try_cast(sum(value) filter (metric = 'plugin.workers') as bigint) as workers,
    try_cast(sum(value) filter (metric = 'plugin.memory.usage') as bigint) as memory_bytes,
    max(value) filter (metric = 'plugin.terms.declared' and term = 'timeout') as timeout_seconds,
    max(value) filter (metric = 'plugin.terms.observed' and term = 'timeout') as longest_seconds,
    try_cast(max(value) filter (metric = 'plugin.terms.declared' and term = 'concurrency') as bigint) as concurrency,
    try_cast(max(value) filter (metric = 'plugin.terms.observed' and term = 'concurrency') as bigint) as most_running,
    any_value(refusals) as refusals
from latest left join reasons using (plugin_version, plugin_operation)
group by plugin_version, plugin_operation
order by plugin_version desc, plugin_operation
