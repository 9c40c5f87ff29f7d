-- Where a plugin's calls went well and where not, to find the smallest scope that holds its failures.
-- Takes: plugin (varchar), the span of time (store/duckdb/calls/resolutions.py). Gives: plugin_version, plugin_operation,
-- instance_id, total, bad.
select
    plugin_version, plugin_operation, instance_id,
    bounded(sum(calls)) as total,
    bounded(sum(calls) filter (contract.bad(outcome, error_source, error_type))) as bad
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where plugin_id = $plugin and contract.judged(outcome, error_type)
group by all
