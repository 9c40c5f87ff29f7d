-- How plugins' waits for downstreams went lately, beside how they went before.
-- Takes: at, until (timestamp), recent (double, seconds), baseline (double, seconds). Gives: plugin_id, downstream, and for both
-- spans of time: waits, seconds, failures.
select
    plugin_id, downstream,
    coalesce(sum(count) filter (time > $at::timestamp - to_seconds($recent)), 0)::bigint as recent_waits,
    coalesce(sum(sum) filter (time > $at::timestamp - to_seconds($recent)), 0) as recent_seconds,
    coalesce(sum(count) filter (time > $at::timestamp - to_seconds($recent) and outcome <> 'success'), 0)::bigint as recent_failures,
    coalesce(sum(count) filter (time <= $at::timestamp - to_seconds($recent)), 0)::bigint as baseline_waits,
    coalesce(sum(sum) filter (time <= $at::timestamp - to_seconds($recent)), 0) as baseline_seconds
from point_rows
where metric = 'plugin.downstream.duration' and temporality = 1 and downstream is not null
  and time > $at::timestamp - to_seconds($baseline) and time <= $until::timestamp
group by plugin_id, downstream
