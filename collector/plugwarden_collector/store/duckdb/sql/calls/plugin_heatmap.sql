-- One plugin's latency distribution per step. Takes: plugin (varchar), the span of time (store/duckdb/calls/resolutions.py), step (double, seconds).
-- Gives: time, index (bucket of the scale-4 histogram), count.
select
    make_timestamp((floor(epoch(bucket_start) / $step) * $step * 1000000)::bigint) as time, index, bounded(sum(count)) as count
from (
    select bucket_start, unnest(bucket_index) as index, unnest(bucket_count) as count
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where plugin_id = $plugin
      and contract.ran(outcome)
)
group by all order by time, index
