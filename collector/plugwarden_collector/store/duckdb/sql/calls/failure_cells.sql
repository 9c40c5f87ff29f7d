-- Where a plugin's calls went well and where not, to find the smallest scope that holds its failures.
-- Takes: plugin (varchar), the span of time (store/duckdb/calls/resolutions.py). Gives: plugin_version, plugin_operation,
-- instance_id, total, bad.
select
    plugin_version, plugin_operation, instance_id,
    bounded(sum(calls)) as total,
    bounded(sum(calls) filter (outcome <> 'success' and error_source = 'plugin')) as bad
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where plugin_id = $plugin and outcome in ('success', 'error', 'timeout')
group by all
