-- Which errors carry a plugin's failures. Takes: plugin, version (varchar or null: all), operations (varchar: a regular expression; null: all),
-- the span of time (store/duckdb/calls/resolutions.py).
-- Gives: plugin_version, error_type, error_source, outcome, calls, first_at, last_at; most first.
select
    plugin_version, error_type, error_source, outcome, bounded(sum(calls)) as calls,
    min(bucket_start) as first_at, max(bucket_start) as last_at
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where plugin_id = $plugin and (plugin_version = $version or $version is null) and error_type <> '' and contract.wanted(plugin_operation)
group by all order by calls desc limit 50
