-- Calls and CPU time told by a sidecar's metrics: delta points in seconds at the contract's scale. Takes: after, until (ubigint).
-- Gives rows of call_seconds; error_type of a refused call is the reason, where that is one of the contract's. More than 2^32 calls
-- in one interval, sums that are no number, and buckets beyond the contract's (a nanosecond to 36 hours) cannot be meant; so
-- bounded, no total over any span of time leaves its type.
with told as (
    select
        date_trunc('second', time) as bucket_start, service_name, instance_id, plugin_id,
        coalesce(plugin_version, '') as plugin_version, coalesce(plugin_operation, '') as plugin_operation,
        coalesce(outcome, 'success') as outcome, coalesce(error_source, '') as error_source, coalesce(error_type, '') as error_type,
        case when contract.refused(outcome) then attributes ->> '$."plugin.rejection.reason"' end as reason,
        coalesce(tenant_id, '') as tenant_id, '' as host_name, resource_id,
        count as calls, coalesce(sum, 0) as duration_seconds_sum, coalesce(max, 0) as duration_seconds_max, 0::double as cpu_seconds,
        if(list_min(bucket_index) < contract.least_index or list_max(bucket_index) > contract.most_index,
           list_transform(bucket_index, lambda i: greatest(contract.least_index, least(contract.most_index, i))), bucket_index) as bucket_index, bucket_count,
        batch
    from point_rows
    where batch > $after::ubigint and batch <= $until::ubigint and metric = 'plugin.invocation.duration' and kind = 'exponential_histogram'
      and temporality = 1 and scale = contract.scale and zero_count = 0 and unit in ('', 's') and plugin_id is not null and count between 1 and 4294967295
      and isfinite(coalesce(sum, 0)) and isfinite(coalesce(max, 0)) and coalesce(sum, 0) between 0 and 1e15
      and coalesce(list_sum(bucket_count), 0) <= count and len(bucket_index) = len(bucket_count)
      and len(bucket_index) <= contract.places
    union all
    select
        date_trunc('second', time), service_name, instance_id, plugin_id, coalesce(plugin_version, ''),
        coalesce(plugin_operation, ''), coalesce(outcome, 'success'), coalesce(error_source, ''), coalesce(error_type, ''), null,
        coalesce(tenant_id, ''), '', resource_id, 0, 0, 0, value, [], [], batch
    from point_rows
    where batch > $after::ubigint and batch <= $until::ubigint and metric = 'plugin.cpu.time' and temporality = 1 and plugin_id is not null
      and unit in ('', 's') and isfinite(value) and value > 0 and value <= 1e15
)
select told.* exclude (reason, resource_id) replace (
    if(reason in (contract.reasons), reason, error_type) as error_type,
    left(coalesce(machine, ''), contract.max_name) as host_name
)
from told left join (select id, host_name as machine from resource_rows) as r on resource_id = r.id
