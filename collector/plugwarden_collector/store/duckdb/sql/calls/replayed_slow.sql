-- Past calls of operations that took longer than thresholds by slice of time, from one tier. Takes: tier, first, before as
-- replayed_streams, thresholds (integer[]: of each the last histogram bucket that is still fast).
-- Gives: second, plugin_id, plugin_version, plugin_operation, fast (integer), slow; nothing where none were.
with rows as (
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, calls, bucket_index, bucket_count
    from call_seconds where $tier = 'seconds' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, calls, bucket_index, bucket_count
    from call_minutes where $tier = 'minutes' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, calls, bucket_index, bucket_count
    from call_hours where $tier = 'hours' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
),
told as (
    select
        bucket_start, plugin_id, plugin_version, plugin_operation, fast, slow_calls(calls, bucket_index, bucket_count, fast) as slow
    from rows join (select unnest($thresholds::integer[]) as fast) on list_max(bucket_index) > fast
    where contract.ended(outcome, error_source) and plugin_id <> contract.overflow and plugin_version <> contract.overflow
)
select
    epoch(bucket_start)::bigint as second, plugin_id, plugin_version, plugin_operation, fast, bounded(sum(slow)) as slow
from told
where slow > 0
group by all
