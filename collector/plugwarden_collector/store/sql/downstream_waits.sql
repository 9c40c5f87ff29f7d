-- How plugins' waits for downstreams went lately, beside how they went before.
-- Takes: at, until (timestamp), recent (double, seconds), baseline (double, seconds). Gives: plugin_id, downstream, and for both
-- spans of time: waits, seconds, failures.
select
    plugin_id, downstream,
    coalesce(sum(waits) filter (bucket_start > $at::timestamp - to_seconds($recent)), 0)::bigint as recent_waits,
    coalesce(sum(seconds) filter (bucket_start > $at::timestamp - to_seconds($recent)), 0) as recent_seconds,
    coalesce(sum(waits) filter (bucket_start > $at::timestamp - to_seconds($recent) and outcome <> 'success'), 0)::bigint
        as recent_failures,
    coalesce(sum(waits) filter (bucket_start <= $at::timestamp - to_seconds($recent)), 0)::bigint as baseline_waits,
    coalesce(sum(seconds) filter (bucket_start <= $at::timestamp - to_seconds($recent)), 0) as baseline_seconds
from wait_seconds
where bucket_start > $at::timestamp - to_seconds($baseline) and bucket_start <= $until::timestamp
group by plugin_id, downstream
