-- Add the waits of full minutes to the minutes, pairs of one bucket as one. Takes: first, before (timestamp).
insert into wait_minutes
with rows as (
    select * replace (date_trunc('minute', bucket_start) as bucket_start) from wait_seconds
    where bucket_start >= $first::timestamp and bucket_start < $before::timestamp
),
totals as (
    select bucket_start, service_name, plugin_id, downstream, outcome, bounded(sum(waits))::ubigint as waits, sum(seconds) as seconds
    from rows group by all
),
buckets as (
    select
        bucket_start, service_name, plugin_id, downstream, outcome,
        list(index order by index)::integer[] as bucket_index, list(count order by index)::ubigint[] as bucket_count
    from (
        select * exclude (count), bounded(sum(count)) as count from (
            select
                bucket_start, service_name, plugin_id, downstream, outcome,
                unnest(bucket_index) as index, unnest(bucket_count) as count
            from rows
        ) group by all
    ) group by all
)
select
    bucket_start, service_name, plugin_id, downstream, outcome, waits, seconds,
    coalesce(bucket_index, []), coalesce(bucket_count, [])
from totals left join buckets using (bucket_start, service_name, plugin_id, downstream, outcome)
