-- Points of plugin.invocation.duration that need work before they are calls: cumulative ones, histograms with bounds of
-- their own, other units and scales, zero buckets, more buckets than the contract has; and CPU time in other units (calls 0, its value as sum). Takes:
-- after, until (ubigint). Gives one row a point, each series in order of time.
with told as (
    select
        hash(resource_id, scope_name, scope_version, kind, plugin_id, plugin_version, plugin_operation, outcome, error_source,
            error_type, tenant_id, attributes)::ubigint as series, hash(resource_id)::ubigint as sender,
        service_name, instance_id, plugin_id, coalesce(plugin_version, '') as plugin_version,
        coalesce(plugin_operation, '') as plugin_operation, coalesce(outcome, 'success') as outcome,
        coalesce(error_source, '') as error_source, coalesce(error_type, '') as error_type,
        case when contract.refused(outcome) then attributes ->> '$."plugin.rejection.reason"' end as reason,
        coalesce(tenant_id, '') as tenant_id, '' as host_name, resource_id,
        kind, temporality, unit, started_at, time, count, coalesce(sum, 0) as sum, coalesce(max, 0) as max,
        coalesce(zero_count, 0)::ubigint as zero_count, scale, coalesce(bucket_index, []) as bucket_index,
        coalesce(bucket_count, []) as bucket_count, coalesce(explicit_bounds, []) as explicit_bounds, batch
    from point_rows
    where batch > $after::ubigint and batch <= $until::ubigint and metric = 'plugin.invocation.duration' and kind in ('exponential_histogram', 'histogram')
      and not (kind = 'exponential_histogram' and temporality = 1 and scale = contract.scale and zero_count = 0 and unit in ('', 's')
               and coalesce(len(bucket_index), 0) <= contract.places)
      and plugin_id is not null and count > 0 and count < 9007199254740992
      and isfinite(coalesce(sum, 0)) and coalesce(sum, 0) >= 0 and isfinite(coalesce(max, 0))
    union all
    select
        0::ubigint, 0::ubigint, service_name, instance_id, plugin_id, coalesce(plugin_version, ''), coalesce(plugin_operation, ''),
        coalesce(outcome, 'success'), coalesce(error_source, ''), coalesce(error_type, ''), null,
        coalesce(tenant_id, ''), '', resource_id, 'sum', temporality, unit, started_at, time, 0::ubigint,
        value, 0, 0::ubigint, null, [], [], [], batch
    from point_rows
    where batch > $after::ubigint and batch <= $until::ubigint and metric = 'plugin.cpu.time' and temporality = 1 and plugin_id is not null
      and unit not in ('', 's') and isfinite(value) and value > 0
)
select told.* exclude (reason, resource_id) replace (
    if(reason in (contract.reasons), reason, error_type) as error_type,
    left(coalesce(machine, ''), contract.max_name) as host_name
)
from told left join (select id, host_name as machine from resource_rows) as r on resource_id = r.id
order by series, time
