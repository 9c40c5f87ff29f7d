-- Whose raw rows the store holds. Gives: table, plugin_id, tenant_id (null: of no plugin, of no tenant), rows.
select 'spans' as "table", plugin_id, tenant_id, count(*) as rows from span_rows group by all
union all
select 'logs', plugin_id, tenant_id, count(*) from log_rows group by all
union all
select 'metric_points', plugin_id, tenant_id, count(*) from point_rows group by all
