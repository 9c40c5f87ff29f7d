-- Waits of plugins for upstreams in windows that end at a moment, all windows in one pass. What stands for many is not one upstream, and what
-- its caller cancelled says nothing of it.
-- Takes: at (timestamp), since (timestamp: the beginning of the longest window), windows (double[], seconds), fast (integer or null: the last
-- histogram bucket that counts as fast). Gives: upstream, plugin_id, service_name, window_seconds, total, failed, slow.
select
    upstream, plugin_id, service_name, window_seconds,
    bounded(sum(calls)) as total,
    bounded(sum(calls) filter (contract.failed(outcome))) as failed,
    case when $fast is null then 0 else bounded(sum(slow_calls(calls, bucket_index, bucket_count, $fast::integer))) end as slow
from upstream_calls join (select unnest($windows::double[]) as window_seconds)
    on bucket_start > $at::timestamp - to_seconds(window_seconds)
where bucket_start > $since::timestamp and bucket_start <= $at::timestamp
  and upstream <> contract.overflow and not contract.cancelled(outcome)
group by all
