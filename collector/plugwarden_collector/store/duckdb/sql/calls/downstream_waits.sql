-- How plugins' waits for downstreams went lately, beside how they went before; of each plugin the twenty it waited for most often;
-- what stands for many has nothing in common.
-- Takes: at, until (timestamp), recent (double, seconds), baseline (double, seconds). Gives: plugin_id, downstream, and for both
-- spans of time: waits, seconds, failures.
select
    plugin_id, downstream,
    bounded(sum(waits) filter (bucket_start > $at::timestamp - to_seconds($recent))) as recent_waits,
    coalesce(sum(seconds) filter (bucket_start > $at::timestamp - to_seconds($recent)), 0) as recent_seconds,
    bounded(sum(waits) filter (bucket_start > $at::timestamp - to_seconds($recent) and outcome <> 'success'))
        as recent_failures,
    bounded(sum(waits) filter (bucket_start <= $at::timestamp - to_seconds($recent))) as baseline_waits,
    coalesce(sum(seconds) filter (bucket_start <= $at::timestamp - to_seconds($recent)), 0) as baseline_seconds
from wait_seconds
where downstream <> '_OTHER' and bucket_start > $at::timestamp - to_seconds($baseline) and bucket_start <= $until::timestamp
group by plugin_id, downstream
qualify row_number() over (partition by plugin_id order by recent_waits desc, baseline_waits desc, downstream) <= 20
