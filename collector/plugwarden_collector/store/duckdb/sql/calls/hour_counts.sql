-- Calls of whole hours per plugin version. Takes: first, before (timestamp), operations (varchar: a regular expression;
-- null: all). Gives: bucket_start, plugin_id, plugin_version, total
-- (calls that ended by themselves or that the plugin's own breaker refused), bad (those, and failures that the plugin is to blame for).
select
    bucket_start, plugin_id, plugin_version, bounded(sum(calls)) as total,
    bounded(sum(calls) filter (contract.bad(outcome, error_source, error_type))) as bad
from call_hours
where bucket_start >= $first::timestamp and bucket_start < $before::timestamp and contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation)
group by all
