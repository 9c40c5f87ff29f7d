-- How long calls of each plugin take in some processes lately, beside how long they took before. A bad minute makes nothing usual: what
-- one call took is of the median ten seconds. CPU is measured of a share of the calls, so it is of the rows that have any. Takes:
-- instances (varchar[]), past, past_until (timestamp: before), since, until (timestamp: lately). Gives: plugin_id, service_name,
-- instance_id, and of lately and before: calls, seconds and CPU seconds of one call.
with slots as (
    select
        plugin_id, service_name, instance_id, bucket_start > $past_until::timestamp as is_recent,
        time_bucket(interval 10 seconds, bucket_start) as slot, sum(calls) as calls, sum(duration_seconds_sum) as seconds,
        sum(cpu_seconds) as cpu_seconds, sum(calls) filter (cpu_seconds > 0) as measured
    from call_seconds
    where list_contains($instances::varchar[], instance_id) and contract.ended(outcome, error_source) and plugin_id <> contract.overflow and calls > 0
      and bucket_start > $past::timestamp
      and (bucket_start <= $past_until::timestamp or bucket_start > $since::timestamp and bucket_start <= $until::timestamp)
    group by all
)
select
    plugin_id, service_name, instance_id,
    bounded(sum(calls) filter (is_recent)) as recent_calls,
    coalesce(median(seconds / calls) filter (is_recent), 0) as recent_seconds,
    coalesce(sum(cpu_seconds) filter (is_recent) / sum(measured) filter (is_recent), 0) as recent_cpu_seconds,
    bounded(sum(calls) filter (not is_recent)) as usual_calls,
    coalesce(median(seconds / calls) filter (not is_recent), 0) as usual_seconds,
    coalesce(sum(cpu_seconds) filter (not is_recent) / sum(measured) filter (not is_recent), 0) as usual_cpu_seconds
from slots
group by plugin_id, service_name, instance_id
