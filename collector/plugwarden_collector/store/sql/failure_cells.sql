-- Where a plugin's calls went well and where not, to find the smallest scope that holds its failures.
-- Takes: plugin (varchar), at, until (timestamp), window (double, seconds). Gives: plugin_version, plugin_operation,
-- instance_id, total, bad.
select
    plugin_version, plugin_operation, instance_id,
    sum(calls)::bigint as total,
    coalesce(sum(calls) filter (outcome <> 'success' and error_source = 'plugin'), 0)::bigint as bad
from call_rows
where plugin_id = $plugin and bucket_start > $at::timestamp - to_seconds($window)
  and bucket_start <= $until::timestamp
  and outcome in ('success', 'error', 'timeout')
group by all
