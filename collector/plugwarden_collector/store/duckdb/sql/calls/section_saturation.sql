-- Minutes of one plugin in which it was called and a limit of it was known, over its versions, by section of time; bad are those in which a
-- host process was at the threshold of its limit. What was under way was called, even if none of it ended.
-- Takes: plugin, the span of time (store/duckdb/calls/resolutions.py) without whole hours, firsts (timestamp[]: beginnings of sections,
-- rising, each that of a minute), and operations, versions, resource and threshold_millionths, as hour_saturation does. Gives: section (from
-- 0), total, bad (minutes).
with sections as (
    select unnest($firsts::timestamp[]) as first, generate_subscripts($firsts::timestamp[], 1) - 1 as section
),
called as (
    select distinct date_trunc('minute', bucket_start) as bucket_start
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    where plugin_id = $plugin and contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation)
      and contract.meant(plugin_version)
),
told as (
    select bucket_start, bool_or(used > 0) as busy, bool_or(contract.full(used, limit_value)) as full
    from limit_minutes
    where plugin_id = $plugin and bucket_start > $since::timestamp and bucket_start <= $until::timestamp and resource = $resource::varchar
      and contract.wanted(plugin_operation) and contract.meant(plugin_version)
    group by all
),
minutes as (
    select told.bucket_start as minute, told.full
    from told left join called using (bucket_start)
    where told.busy or called.bucket_start is not null
)
select section, count(*) as total, count(*) filter (minutes.full) as bad
from minutes asof join sections on minute >= first
group by section
