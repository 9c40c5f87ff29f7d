-- Slices of time of one plugin that an objective is about, over its versions, by section of time; those with too few calls are left out.
-- Takes: plugin, the span of time (store/duckdb/calls/resolutions.py), without whole hours where slices are shorter, firsts (timestamp[]:
-- beginnings of sections, rising, each that of a slice), and operations, versions, fast, slice_seconds, min_calls and good_millionths, as
-- hour_slices does. Gives: section (from 0), total, bad (slices).
with sections as (
    select unnest($firsts::timestamp[]) as first, generate_subscripts($firsts::timestamp[], 1) - 1 as section
),
slices as (
    select
        time_bucket(to_seconds($slice_seconds::bigint), bucket_start, timestamp '1970-01-01') as slice_start,
        sum(calls) as total, sum(contract.bad_calls(outcome, error_source, error_type)) as bad
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    where plugin_id = $plugin and contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation)
      and contract.meant(plugin_version)
    group by all
)
select section, count(*) as total, count(*) filter (contract.bad_slice(total, bad)) as bad
from slices asof join sections on slice_start >= first
where total >= $min_calls::bigint group by section
