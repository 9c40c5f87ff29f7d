-- Summaries keep the quantiles that they tell.
alter table point_rows add column quantile double[];
alter table point_rows add column quantile_value double[];

create or replace view metric_points as
select
    metric, unit, kind, case temporality when 1 then 'delta' when 2 then 'cumulative' end as temporality,
    started_at, time, value, count, sum, min, max, zero_count, scale, bucket_index, bucket_count, explicit_bounds,
    quantile, quantile_value, hex_id(exemplar_trace_hi, exemplar_trace_lo) as exemplar_trace_id, exemplar_value,
    service_name, instance_id, plugin_id, plugin_version, plugin_operation,
    outcome, error_source, error_type, tenant_id, downstream,
    scope_name, scope_version, text_map(attributes) as attributes, resource_id, received_at, clock_adjusted, batch
from point_rows;
