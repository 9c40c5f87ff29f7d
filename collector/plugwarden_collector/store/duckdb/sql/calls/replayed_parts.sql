-- Past calls by slice of time and all that tells them apart, from one tier: all of some plugins, or those
-- of any that count against them. Takes: tier (varchar: seconds or minutes), first, before (timestamp), plugins (varchar[]: of which all
-- are wanted), failing (boolean: what counts against anybody is wanted instead).
-- Gives: second (bigint, since 1970), plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id,
-- error_type, total, bad, refused, as arrived_cells does.
with rows as (
    select
        bucket_start, plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id, outcome, error_source,
        error_type, calls
    from call_seconds where $tier = 'seconds' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select
        bucket_start, plugin_id, plugin_version, plugin_operation, service_name, instance_id, '' as host_name, '' as tenant_id, outcome,
        error_source, error_type, calls
    from call_minutes where $tier = 'minutes' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
)
select
    epoch(bucket_start)::bigint as second, plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id,
    if(contract.bad(outcome, error_source, error_type), error_type, '') as error_type,
    bounded(sum(calls) filter (contract.ended(outcome, error_source))) as total,
    bounded(sum(calls) filter (contract.at_fault(outcome, error_source))) as bad,
    bounded(sum(calls) filter (contract.cut_off(outcome, error_source, error_type))) as refused
from rows
where contract.judged(outcome, error_source, error_type)
  and plugin_id <> contract.overflow and plugin_version <> contract.overflow and calls > 0
  and if($failing::boolean, contract.bad(outcome, error_source, error_type), list_contains($plugins::varchar[], plugin_id))
group by all
