-- Calls of whole hours that were slower than a threshold, per plugin version. Takes: first, before (timestamp), fast (integer: the
-- last histogram bucket that is still fast). Gives: bucket_start, plugin_id, plugin_version, total, bad.
select
    bucket_start, plugin_id, plugin_version, bounded(sum(calls)) as total,
    bounded(sum(slow_calls(calls, bucket_index, bucket_count, $fast::integer))) as bad
from call_hours
where bucket_start >= $first::timestamp and bucket_start < $before::timestamp and contract.ended(outcome)
group by all
