-- Calls that took longer than thresholds by hour, plugin, version and operation, from one tier. Takes: tier (varchar: minutes or
-- hours), first, before (timestamp), thresholds (integer[]: of each the last histogram bucket that is still fast). Gives: hour
-- (timestamp), plugin_id, plugin_version, plugin_operation, fast (integer), slow; nothing where none were.
with rows as (
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, calls, bucket_index, bucket_count
    from call_minutes where $tier = 'minutes' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, calls, bucket_index, bucket_count
    from call_hours where $tier = 'hours' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
)
select
    date_trunc('hour', bucket_start) as hour, plugin_id, plugin_version, plugin_operation, fast,
    bounded(sum(slow_calls(calls, bucket_index, bucket_count, fast))) as slow
from rows join (select unnest($thresholds::integer[]) as fast) on list_max(bucket_index) > fast
where contract.ended(outcome, error_source) and plugin_id <> contract.overflow and plugin_version <> contract.overflow
group by all
