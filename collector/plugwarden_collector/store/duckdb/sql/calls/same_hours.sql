-- Calls of each plugin in a window that ends at a moment, and in those at the same time of the days before, with one beside each. Takes: the
-- span of time (store/duckdb/calls/resolutions.py), at (timestamp, a full minute), over (double, seconds, which divide a day).
-- Gives: plugin_id, day (days ago), beside (windows before the same time of that day), calls, ended, failed, seconds (of those that ended),
-- first_at (first call of the plugin within the span).
with called as not materialized (
    select
        plugin_id, outcome, error_source, calls, duration_seconds_sum, bucket_start,
        (ceil(epoch($at::timestamp - bucket_start) / $over::double) - 1)::bigint as place, (86400 / $over::double)::bigint as a_day
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    where calls > 0 and plugin_id <> contract.overflow and bucket_start < $at::timestamp
),
first as (select plugin_id, min(bucket_start) as first_at from called group by all)
select
    plugin_id, (place + 1) // a_day as day, place - day * a_day as beside, bounded(sum(calls)) as calls,
    coalesce(bounded(sum(calls) filter (contract.ended(outcome, error_source))), 0) as ended,
    coalesce(bounded(sum(calls) filter (contract.ended(outcome, error_source) and contract.failed(outcome))), 0) as failed,
    coalesce(sum(duration_seconds_sum) filter (contract.ended(outcome, error_source)), 0) as seconds, first_at
from called
join first using (plugin_id)
where beside between -1 and 1 and (day > 0 or beside = 0)
group by all
order by plugin_id, day, beside
