-- Calls that were counted between two commits, by plugin, version and operation. Takes: after, mark (ubigint), since, until (timestamp).
-- Gives: plugin_id, plugin_version, plugin_operation, and of calls within the span of time: total (those that ended by themselves),
-- bad (of those, failures that the plugin is to blame for), refused (by a breaker, because the plugin fails); stale: all others; part: the
-- commit that they were counted after, of operations with bad calls; 0 for all others; beside: whether they are of processes none of
-- whose calls were bad in that commit.
with arrived as (
    select
        plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls,
        bucket_start >= $since::timestamp and bucket_start <= $until::timestamp as timely,
        -- Good calls that were counted before the bad ones must not hide them: what fails is told commit by commit, and in each of them
        -- apart from what other processes told.
        if(bool_or(contract.at_fault(outcome, error_source)) over (partition by plugin_id, plugin_version, plugin_operation), batch, 0) as part,
        part > 0 and not bool_or(contract.at_fault(outcome, error_source))
            over (partition by plugin_id, plugin_version, plugin_operation, batch, service_name, instance_id) as beside
    from call_seconds
    where batch > $after::ubigint and batch <= $mark::ubigint and contract.judged(outcome, error_source, error_type)
      and plugin_id <> contract.overflow and plugin_version <> contract.overflow and calls > 0
)
select
    plugin_id, plugin_version, plugin_operation,
    bounded(sum(calls) filter (timely and contract.ended(outcome, error_source))) as total,
    bounded(sum(calls) filter (timely and contract.at_fault(outcome, error_source))) as bad,
    bounded(sum(calls) filter (timely and contract.cut_off(outcome, error_source, error_type))) as refused,
    bounded(sum(calls) filter (not timely)) as stale,
    part, beside
from arrived
group by all
order by part, beside desc, plugin_id, plugin_version, plugin_operation
