-- How many raw rows each hour holds, oldest first. Gives: view, hour (timestamp), rows.
select 'spans' as view, date_trunc('hour', started_at) as hour, count(*) as rows from span_rows group by all union all
select 'logs', date_trunc('hour', time), count(*) from log_rows group by all union all
select 'metric_points', date_trunc('hour', time), count(*) from point_rows group by all
order by hour
