-- Calls of whole hours per plugin version. Takes: first, before (timestamp). Gives: bucket_start, plugin_id, plugin_version, total
-- (calls that ended by themselves), bad (those the plugin is to blame for).
select
    bucket_start, plugin_id, plugin_version, bounded(sum(calls)) as total,
    bounded(sum(calls) filter (contract.at_fault(outcome, error_source))) as bad
from call_hours
where bucket_start >= $first::timestamp and bucket_start < $before::timestamp and contract.ended(outcome)
group by all
