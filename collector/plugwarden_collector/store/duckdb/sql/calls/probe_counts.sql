-- How probes of one scope went since a moment, from intervals that began after it: calls of an interval that began
-- before may be older than the probation. Takes: plugin, version, operation, instance, tenant (each null: any), since,
-- until (timestamp). Gives: total, bad.
select
    bounded(sum(count)) as total,
    bounded(sum(count) filter (contract.at_fault(outcome, error_source))) as bad
from point_rows
where metric = 'plugin.invocation.duration' and temporality = 1 and count < 9007199254740992
  and plugin_id = $plugin and (plugin_version = $version or $version is null)
  and (plugin_operation = $operation or $operation is null) and (instance_id = $instance or $instance is null)
  and (tenant_id = $tenant or $tenant is null)
  and started_at >= $since::timestamp and time <= $until::timestamp and contract.ended(outcome)
