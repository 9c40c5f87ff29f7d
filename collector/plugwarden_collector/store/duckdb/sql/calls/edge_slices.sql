-- Slices of time in what the whole hours leave of a span of time, per plugin over its versions; those with too few calls are left out.
-- Takes: the span of time (store/duckdb/calls/resolutions.py), which begins and ends with a slice, and operations, versions, fast,
-- slice_seconds, min_calls and good_millionths, as hour_slices does. Gives: plugin_id, plugin_version (empty), total, bad (slices).
with edges as (
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls, bucket_index, bucket_count
    from call_minutes
    where bucket_start > $since::timestamp and bucket_start <= $until::timestamp and bucket_start < $minutes_end::timestamp
      and (bucket_start < $first_hour::timestamp or bucket_start >= $hours_end::timestamp)
    union all
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls, bucket_index, bucket_count
    from call_seconds
    where bucket_start > $since::timestamp and bucket_start <= $until::timestamp and bucket_start >= $minutes_end::timestamp
),
slices as (
    select
        plugin_id, time_bucket(to_seconds($slice_seconds::bigint), bucket_start, timestamp '1970-01-01') as slice_start,
        sum(calls) as total, sum(contract.bad_calls(outcome, error_source, error_type)) as bad
    from edges
    where contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation) and contract.meant(plugin_version)
    group by all
)
select
    plugin_id, '' as plugin_version, count(*) as total, count(*) filter (contract.bad_slice(total, bad)) as bad
from slices where total >= $min_calls::bigint group by all
