-- Minutes within whole hours in which a plugin was called and a limit of it was known, over its versions; bad are those in which a host
-- process was at the threshold of its limit. What was under way was called, even if none of it ended.
-- Takes: first, before (timestamp, full hours), operations, versions (varchar: regular expressions; null: all), resource (varchar),
-- threshold_millionths (bigint: share of the limit). Gives: bucket_start (of the hour), plugin_id, plugin_version (empty), total, bad (minutes).
with called as (
    select distinct bucket_start, plugin_id from call_minutes
    where bucket_start >= $first::timestamp and bucket_start < $before::timestamp
      and contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation) and contract.meant(plugin_version)
),
told as (
    select bucket_start, plugin_id, bool_or(used > 0) as busy, bool_or(contract.full(used, limit_value)) as full
    from limit_minutes
    where bucket_start >= $first::timestamp and bucket_start < $before::timestamp and resource = $resource::varchar
      and contract.wanted(plugin_operation) and contract.meant(plugin_version)
    group by all
)
select
    date_trunc('hour', bucket_start) as bucket_start, plugin_id, '' as plugin_version, count(*) as total, count(*) filter (told.full) as bad
from told left join called using (bucket_start, plugin_id)
where told.busy or called.plugin_id is not null
group by all
