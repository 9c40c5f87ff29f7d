-- How many rows each table of telemetry holds. Gives: name, rows.
select 'spans' as name, count(*) as rows from span_rows union all
select 'logs', count(*) from log_rows union all
select 'metric_points', count(*) from point_rows union all
select 'call_seconds', count(*) from call_seconds union all
select 'call_minutes', count(*) from call_minutes union all
select 'call_hours', count(*) from call_hours
