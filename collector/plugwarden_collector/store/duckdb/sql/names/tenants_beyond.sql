-- Which staged calls are for a tenant beyond those of most calls of its plugin in its service. Takes: most (bigint), staging table
-- staged_tenants. Gives: row.
with crowded as (
    select service_name, plugin_id from staged_tenants where tenant_id not in ('', contract.overflow)
    group by service_name, plugin_id having count(distinct tenant_id) > $most::bigint
),
kept as (
    select service_name, plugin_id, tenant_id from staged_tenants semi join crowded using (service_name, plugin_id)
    where tenant_id not in ('', contract.overflow) group by service_name, plugin_id, tenant_id
    qualify row_number() over (partition by service_name, plugin_id order by sum(calls) desc, tenant_id) <= $most::bigint
)
select row from staged_tenants semi join crowded using (service_name, plugin_id) anti join kept using (service_name, plugin_id, tenant_id)
where tenant_id not in ('', contract.overflow)
