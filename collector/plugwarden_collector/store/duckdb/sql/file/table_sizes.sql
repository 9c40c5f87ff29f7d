-- What each table of telemetry takes. Takes: at (timestamp). Gives: table, tier, rows, blocks (whole ones on disk), rows_per_day (rows of the
-- last day that has data), held_days (from the oldest row to now).
with stored as (
    select 'spans' as name, block_id from pragma_storage_info('span_rows') union all
    select 'logs', block_id from pragma_storage_info('log_rows') union all
    select 'metric_points', block_id from pragma_storage_info('point_rows') union all
    select 'call_seconds', block_id from pragma_storage_info('call_seconds') union all
    select 'call_minutes', block_id from pragma_storage_info('call_minutes') union all
    select 'call_hours', block_id from pragma_storage_info('call_hours') union all
    select 'limit_minutes', block_id from pragma_storage_info('limit_minutes')
),
blocks as (select name, count(distinct block_id) as blocks from stored where block_id >= 0 group by name),
ages as (
    select 'spans' as name, 'raw' as tier, count(*) as rows, min(started_at) as oldest, max(started_at) as newest from span_rows union all
    select 'logs', 'raw', count(*), min(time), max(time) from log_rows union all
    select 'metric_points', 'raw', count(*), min(time), max(time) from point_rows union all
    select 'call_seconds', 'seconds', count(*), min(bucket_start), max(bucket_start) from call_seconds union all
    select 'call_minutes', 'minutes', count(*), min(bucket_start), max(bucket_start) from call_minutes union all
    select 'call_hours', 'hours', count(*), min(bucket_start), max(bucket_start) from call_hours union all
    select 'limit_minutes', 'minutes', count(*), min(bucket_start), max(bucket_start) from limit_minutes
),
days as (
    select 'spans' as name, count(*) as rows from span_rows where started_at > (select max(started_at) from span_rows) - interval 1 day union all
    select 'logs', count(*) from log_rows where time > (select max(time) from log_rows) - interval 1 day union all
    select 'metric_points', count(*) from point_rows where time > (select max(time) from point_rows) - interval 1 day union all
    select 'call_seconds', count(*) from call_seconds union all
    select 'call_minutes', count(*) from call_minutes
        where bucket_start > (select max(bucket_start) from call_minutes) - interval 1 day union all
    select 'call_hours', count(*) from call_hours where bucket_start > (select max(bucket_start) from call_hours) - interval 1 day union all
    select 'limit_minutes', count(*) from limit_minutes
        where bucket_start > (select max(bucket_start) from limit_minutes) - interval 1 day
)
select
    ages.name as "table", tier, ages.rows, coalesce(blocks, 0) as blocks,
    -- Within the first day, what came in its part of a day.
    coalesce(days.rows / greatest(least(epoch(newest - oldest) / 86400, 1.0), 1 / 24), 0) as rows_per_day,
    coalesce(greatest(epoch($at::timestamp - oldest), 0) / 86400, 0) as held_days
from ages left join blocks using (name) left join days using (name)
order by ages.name
