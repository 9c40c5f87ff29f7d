-- Fold seconds older than a moment into minutes. Takes: before (timestamp, on a full minute).
insert into call_minutes
with old as (from call_seconds where bucket_start < $before::timestamp),
keyed as (select * replace (date_trunc('minute', bucket_start) as bucket_start) from old),
buckets as (
    select bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source,
        error_type, list(index order by index)::integer[] as bucket_index, list(count order by index)::ubigint[] as bucket_count
    from (
        select * exclude (count), sum(count) as count from (
            select bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome,
                error_source, error_type, unnest(bucket_index) as index, unnest(bucket_count) as count
            from keyed
        ) group by all
    ) group by all
),
totals as (
    select bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source,
        error_type, sum(calls)::ubigint as calls, sum(duration_seconds_sum) as seconds, max(duration_seconds_max) as longest,
        sum(cpu_seconds) as cpu
    from keyed group by all
)
select
    bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type,
    calls, seconds, longest, cpu, coalesce(bucket_index, []), coalesce(bucket_count, [])
from totals left join buckets using (
    bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type)
