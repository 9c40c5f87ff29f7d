-- How probes of one scope went since a moment. Takes: plugin, version, operation, instance (each null: any), since,
-- until (timestamp). Gives: total, bad.
select
    coalesce(sum(calls), 0)::bigint as total,
    coalesce(sum(calls) filter (outcome <> 'success' and error_source = 'plugin'), 0)::bigint as bad
from call_rows
where plugin_id = $plugin and (plugin_version = $version or $version is null)
  and (plugin_operation = $operation or $operation is null) and (instance_id = $instance or $instance is null)
  and bucket_start >= $since::timestamp and bucket_start <= $until::timestamp and outcome in ('success', 'error', 'timeout')
