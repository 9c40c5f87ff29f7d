-- Calls by hour, plugin, version and operation, from one tier. Takes: tier (varchar: minutes or hours), first, before (timestamp).
-- Gives: hour (timestamp), plugin_id, plugin_version, plugin_operation, total (calls that ended by themselves), bad (of those, failures
-- that the plugin is to blame for).
with rows as (
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, calls
    from call_minutes where $tier = 'minutes' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, calls
    from call_hours where $tier = 'hours' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
)
select
    date_trunc('hour', bucket_start) as hour, plugin_id, plugin_version, plugin_operation, bounded(sum(calls)) as total,
    bounded(sum(calls) filter (contract.at_fault(outcome, error_source))) as bad
from rows
where contract.ended(outcome, error_source) and plugin_id <> contract.overflow and plugin_version <> contract.overflow and calls > 0
group by all
