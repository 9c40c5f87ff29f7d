-- Minutes in what the whole hours leave of a span of time in which a plugin was called and a limit of it was known, over its versions; bad
-- are those in which a host process was at the threshold of its limit.
-- Takes: the span of time (store/duckdb/calls/resolutions.py), which begins and ends with a minute, and operations, versions, resource and
-- threshold_millionths, as hour_saturation does. Gives: plugin_id, plugin_version (empty), total, bad (minutes).
with calls as (
    select bucket_start, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type from call_minutes
    where bucket_start > $since::timestamp and bucket_start <= $until::timestamp and bucket_start < $minutes_end::timestamp
      and (bucket_start < $first_hour::timestamp or bucket_start >= $hours_end::timestamp)
    union all
    select date_trunc('minute', bucket_start), plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type from call_seconds
    where bucket_start > $since::timestamp and bucket_start <= $until::timestamp and bucket_start >= $minutes_end::timestamp
),
called as (
    select distinct bucket_start, plugin_id from calls
    where contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation) and contract.meant(plugin_version)
),
-- Two ranges and not one with a gap, so that row groups of the days between are not read.
edges as (
    from limit_minutes
    where bucket_start > $since::timestamp and bucket_start < $first_hour::timestamp and bucket_start <= $until::timestamp
    union all
    from limit_minutes
    where bucket_start > $since::timestamp and bucket_start >= greatest($first_hour::timestamp, $hours_end::timestamp)
      and bucket_start <= $until::timestamp
),
told as (
    select bucket_start, plugin_id, bool_or(used > 0) as busy, bool_or(contract.full(used, limit_value)) as full
    from edges
    where resource = $resource::varchar and contract.wanted(plugin_operation) and contract.meant(plugin_version)
    group by all
)
select plugin_id, '' as plugin_version, count(*) as total, count(*) filter (told.full) as bad
from told left join called using (bucket_start, plugin_id)
where told.busy or called.plugin_id is not null
group by all
