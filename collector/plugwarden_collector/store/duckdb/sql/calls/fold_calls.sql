-- Fold calls of a span of time into a coarser tier, rows of one key into one. Takes: unit (varchar:
-- second, minute or hour), source (varchar: what to read, seconds, minutes or the
-- staging table staged_calls), first, before (timestamp), instances, operations (bigint). Gives rows of the coarser tiers:
-- tenants and machines are told apart by the second alone.
-- So that no client can fill the disk: of a plugin with more instances than that in a bucket the instance is left out, and
-- of one with more operations those that are called least become one, _OTHER. Plugins, versions and error types have been bounded
-- when they were counted (told_apart.py, words.py), and outcomes and error sources are the contract's.
with rows as (
    select * replace (date_trunc($unit, bucket_start) as bucket_start) from (
        select
            bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type,
            calls, duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count
        from call_seconds where $source = 'seconds' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
        union all
        select * from call_minutes where $source = 'minutes' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
        union all
        select
            bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type,
            calls, duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count
        from staged_calls where $source = 'staged' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    )
),
crowded as (
    select bucket_start, plugin_id from rows group by all having count(distinct instance_id) > $instances
),
busiest as (
    select bucket_start, plugin_id, plugin_operation
    from (select bucket_start, plugin_id, plugin_operation, sum(calls) as calls from rows group by all)
    qualify row_number() over (partition by bucket_start, plugin_id order by calls desc, plugin_operation) <= $operations
),
keyed as (
    select rows.* replace (
        if(crowded.plugin_id is null, rows.instance_id, '') as instance_id,
        if(busiest.plugin_id is null, '_OTHER', rows.plugin_operation) as plugin_operation
    )
    from rows
    left join crowded on rows.bucket_start = crowded.bucket_start and rows.plugin_id = crowded.plugin_id
    left join busiest on rows.bucket_start = busiest.bucket_start and rows.plugin_id = busiest.plugin_id
        and rows.plugin_operation = busiest.plugin_operation
),
buckets as (
    select bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source,
        error_type, list(index order by index)::integer[] as bucket_index, list(count order by index)::ubigint[] as bucket_count
    from (
        select * exclude (count), bounded(sum(count)) as count from (
            select bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome,
                error_source, error_type, unnest(bucket_index) as index, unnest(bucket_count) as count
            from keyed
        ) group by all
    ) group by all
),
totals as (
    select bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source,
        error_type, bounded(sum(calls))::ubigint as calls, sum(duration_seconds_sum) as duration_seconds_sum,
        max(duration_seconds_max) as duration_seconds_max, sum(cpu_seconds) as cpu_seconds
    from keyed group by all
)
select
    bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type,
    calls, duration_seconds_sum, duration_seconds_max, cpu_seconds, coalesce(bucket_index, []) as bucket_index,
    coalesce(bucket_count, []) as bucket_count
from totals left join buckets using (
    bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type)
