-- Slices of time within whole hours, per plugin over its versions; those with too few calls are left out.
-- Takes: first, before (timestamp, full hours), operations, versions (varchar: regular expressions; null: all), fast (integer: the last
-- histogram bucket that is still fast; null: failures are bad), slice_seconds (bigint; 3600 is read from the hours, less from the minutes),
-- min_calls (bigint), good_millionths (bigint: the least share of good calls in a good slice). Gives: bucket_start (of the hour), plugin_id,
-- plugin_version (empty), total, bad (slices).
with cells as (
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls, bucket_index, bucket_count
    from call_minutes where $slice_seconds::bigint < 3600 and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls, bucket_index, bucket_count
    from call_hours where $slice_seconds::bigint = 3600 and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
),
slices as (
    select
        plugin_id, time_bucket(to_seconds($slice_seconds::bigint), bucket_start, timestamp '1970-01-01') as slice_start,
        sum(calls) as total, sum(contract.bad_calls(outcome, error_source, error_type)) as bad
    from cells
    where contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation) and contract.meant(plugin_version)
    group by all
)
select
    date_trunc('hour', slice_start) as bucket_start, plugin_id, '' as plugin_version, count(*) as total,
    count(*) filter (contract.bad_slice(total, bad)) as bad
from slices where total >= $min_calls::bigint group by all
