-- Where a plugin's calls went well and where not, to find the smallest scope that holds its failures.
-- Takes: plugin (varchar), the span of time (store/duckdb/calls/resolutions.py). Gives: plugin_version, plugin_operation,
-- instance_id, total, bad.
select
    plugin_version, plugin_operation, instance_id,
    bounded(sum(calls)) as total,
    bounded(sum(calls) filter (contract.at_fault(outcome, error_source))) as bad
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where plugin_id = $plugin and contract.ended(outcome)
group by all
