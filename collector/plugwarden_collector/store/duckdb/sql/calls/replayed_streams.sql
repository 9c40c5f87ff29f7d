-- Past calls of operations by slice of time, from one tier. Takes: tier (varchar: seconds, minutes or hours), first, before
-- (timestamp).
-- Gives: second (bigint, since 1970: the beginning of the slice), plugin_id, plugin_version, plugin_operation, total (calls that ended by
-- themselves), bad (of those, failures that the plugin is to blame for), refused (by a breaker, because the plugin fails).
with rows as (
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls
    from call_seconds where $tier = 'seconds' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls
    from call_minutes where $tier = 'minutes' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls
    from call_hours where $tier = 'hours' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
)
select
    epoch(bucket_start)::bigint as second, plugin_id, plugin_version, plugin_operation,
    bounded(sum(calls) filter (contract.ended(outcome, error_source))) as total,
    bounded(sum(calls) filter (contract.at_fault(outcome, error_source))) as bad,
    bounded(sum(calls) filter (contract.cut_off(outcome, error_source, error_type))) as refused
from rows
where contract.judged(outcome, error_source, error_type)
  and plugin_id <> contract.overflow and plugin_version <> contract.overflow and calls > 0
group by all
