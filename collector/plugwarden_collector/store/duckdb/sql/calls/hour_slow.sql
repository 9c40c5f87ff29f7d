-- Calls of whole hours that got no answer within a threshold, per plugin version: slow ones, and what the plugin's own breaker refused.
-- Takes: first, before (timestamp), fast (integer: the last histogram bucket that is still fast), operations (varchar: a
-- regular expression; null: all). Gives: bucket_start, plugin_id,
-- plugin_version, total, bad.
select
    bucket_start, plugin_id, plugin_version, bounded(sum(calls)) as total,
    bounded(sum(if(contract.cut_off(outcome, error_source, error_type), calls, slow_calls(calls, bucket_index, bucket_count, $fast::integer)))) as bad
from call_hours
where bucket_start >= $first::timestamp and bucket_start < $before::timestamp and contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation)
group by all
