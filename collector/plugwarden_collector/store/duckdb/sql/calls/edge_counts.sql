-- Calls per plugin version in what the whole hours leave of a span of time. Takes: the span of time (store/duckdb/calls/resolutions.py),
-- operations (varchar: a regular expression; null: all). Gives: plugin_id, plugin_version, total, bad, as hour_counts does.
with edges as (
    select plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls from call_minutes
    where bucket_start > $since::timestamp and bucket_start <= $until::timestamp and bucket_start < $minutes_end::timestamp
      and (bucket_start < $first_hour::timestamp or bucket_start >= $hours_end::timestamp)
    union all
    select plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls from call_seconds
    where bucket_start > $since::timestamp and bucket_start <= $until::timestamp and bucket_start >= $minutes_end::timestamp
)
select
    plugin_id, plugin_version, bounded(sum(calls)) as total,
    bounded(sum(calls) filter (contract.bad(outcome, error_source, error_type))) as bad
from edges where contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation)
group by all
