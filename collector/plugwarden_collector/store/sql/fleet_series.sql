-- Calls per plugin and step, for sparklines. Takes: the span of time (store/tiers.py), step (double, seconds).
-- Gives: plugin_id, time, calls, failed, rejected.
select
    plugin_id,
    make_timestamp((floor(epoch(bucket_start) / $step) * $step * 1000000)::bigint) as time,
    sum(calls)::bigint as calls,
    coalesce(sum(calls) filter (outcome in ('error', 'timeout')), 0)::bigint as failed,
    coalesce(sum(calls) filter (outcome = 'rejected'), 0)::bigint as rejected
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
group by all order by time
