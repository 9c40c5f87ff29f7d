-- Calls that were counted between two commits and took longer than thresholds, by all that tells them apart, as arrived_cells does.
-- Takes: after, mark (ubigint), since, until (timestamp), detail (varchar[]), thresholds (integer[]: of each the last histogram bucket
-- that is still fast). Gives: plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id, error_type,
-- fast (integer), slow; nothing where none were.
select
    plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id,
    if(contract.bad(outcome, error_source, error_type), error_type, '') as error_type,
    fast, bounded(sum(slow_calls(calls, bucket_index, bucket_count, fast))) as slow
from call_seconds join (select unnest($thresholds::integer[]) as fast) on list_max(bucket_index) > fast
where batch > $after::ubigint and batch <= $mark::ubigint and bucket_start >= $since::timestamp and bucket_start <= $until::timestamp
  and contract.ended(outcome, error_source) and plugin_id <> contract.overflow and plugin_version <> contract.overflow
  and (contract.bad(outcome, error_source, error_type) or list_contains($detail::varchar[], plugin_id))
group by all
