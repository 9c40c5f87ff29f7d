-- Every plugin version that ran within a span of time. Takes: the span of time (store/duckdb/calls/resolutions.py).
-- Gives: plugin_id, plugin_version, calls, first_at, last_at.
select
    plugin_id, plugin_version, bounded(sum(calls)) as calls, min(bucket_start) as first_at, max(bucket_start) as last_at
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where calls > 0
group by all
