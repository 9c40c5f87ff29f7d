-- Past calls that took longer than thresholds by slice of time and all that tells them apart, from one tier, of some plugins.
-- Takes: tier (varchar: seconds or minutes), first, before (timestamp), plugins (varchar[]), thresholds (integer[]).
-- Gives: second, plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id, error_type, fast, slow.
with rows as (
    select
        bucket_start, plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id, outcome, error_source,
        error_type, calls, bucket_index, bucket_count
    from call_seconds where $tier = 'seconds' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select
        bucket_start, plugin_id, plugin_version, plugin_operation, service_name, instance_id, '' as host_name, '' as tenant_id, outcome,
        error_source, error_type, calls, bucket_index, bucket_count
    from call_minutes where $tier = 'minutes' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
)
select
    epoch(bucket_start)::bigint as second, plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id,
    if(contract.bad(outcome, error_source, error_type), error_type, '') as error_type, fast,
    bounded(sum(slow_calls(calls, bucket_index, bucket_count, fast))) as slow
from rows join (select unnest($thresholds::integer[]) as fast) on list_max(bucket_index) > fast
where contract.ended(outcome, error_source) and plugin_version <> contract.overflow and list_contains($plugins::varchar[], plugin_id)
group by all
