-- How plugins' waits for downstreams went lately, beside how they went before; of each plugin the twenty it waited for most often;
-- what stands for many has nothing in common. A bad minute makes nothing usual: what one wait took is of the median ten seconds.
-- Takes: past, past_until (timestamp: before), since, until (timestamp: lately). Gives: plugin_id, downstream, recent_waits,
-- recent_seconds, recent_failures, usual_waits, usual_seconds (of one wait).
with slots as (
    select
        plugin_id, downstream, bucket_start > $past_until::timestamp as is_recent, time_bucket(interval 10 seconds, bucket_start) as slot,
        sum(waits) as waits, sum(seconds) as seconds, sum(waits) filter (outcome <> 'success') as failures
    from wait_seconds
    where downstream <> '_OTHER' and waits > 0
      and bucket_start > $past::timestamp
      and (bucket_start <= $past_until::timestamp or bucket_start > $since::timestamp and bucket_start <= $until::timestamp)
    group by all
)
select
    plugin_id, downstream,
    bounded(sum(waits) filter (is_recent)) as recent_waits,
    coalesce(sum(seconds) filter (is_recent), 0) as recent_seconds,
    bounded(sum(failures) filter (is_recent)) as recent_failures,
    bounded(sum(waits) filter (not is_recent)) as usual_waits,
    coalesce(median(seconds / waits) filter (not is_recent), 0) as usual_seconds
from slots
group by plugin_id, downstream
qualify row_number() over (partition by plugin_id order by recent_waits desc, usual_waits desc, downstream) <= 20
