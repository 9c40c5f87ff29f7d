-- Calls of some plugins that were counted between two commits and took longer than thresholds, by all that tells them apart. Takes what
-- wanted_cells does, and thresholds (integer[]: of each the last histogram bucket that is still fast). Gives: plugin_id, plugin_version,
-- plugin_operation, service_name, instance_id, host_name, tenant_id, error_type, fast (integer), slow; nothing where none were.
with wanted as (select unnest($plugins::varchar[]) as plugin_id, unnest($after::ubigint[]) as after, unnest($upto::ubigint[]) as upto,
    unnest($since::timestamp[]) as since),
elsewhere as (select unnest($of_plugins::varchar[]) as plugin_id, unnest($of_versions::varchar[]) as plugin_version,
    unnest($of_operations::varchar[]) as plugin_operation, unnest($of_after::ubigint[]) as after)
select
    c.plugin_id, c.plugin_version, c.plugin_operation, service_name, instance_id, host_name, tenant_id,
    if(contract.bad(outcome, error_source, error_type), error_type, '') as error_type,
    fast, bounded(sum(slow_calls(calls, bucket_index, bucket_count, fast))) as slow
from call_seconds as c
join (select unnest($thresholds::integer[]) as fast) on list_max(bucket_index) > fast
join wanted using (plugin_id)
left join elsewhere as e on e.plugin_id = c.plugin_id and e.plugin_version = c.plugin_version and e.plugin_operation = c.plugin_operation
where c.batch > $least::ubigint and bucket_start >= $first::timestamp and bucket_start <= $until::timestamp
  and c.batch > coalesce(e.after, wanted.after) and c.batch <= wanted.upto and bucket_start >= wanted.since
  and contract.ended(outcome, error_source) and c.plugin_version <> contract.overflow and calls > 0
group by all
