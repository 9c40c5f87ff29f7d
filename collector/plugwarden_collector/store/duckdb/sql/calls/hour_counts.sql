-- Calls of whole hours per plugin version. Takes: first, before (timestamp). Gives: bucket_start, plugin_id, plugin_version, total
-- (calls that ended by themselves), bad (those the plugin is to blame for).
select
    bucket_start, plugin_id, plugin_version, bounded(sum(calls)) as total,
    bounded(sum(calls) filter (outcome <> 'success' and error_source = 'plugin')) as bad
from call_hours
where bucket_start >= $first::timestamp and bucket_start < $before::timestamp and outcome in ('success', 'error', 'timeout')
group by all
