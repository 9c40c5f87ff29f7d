-- How many rows each raw table holds. Gives: name, rows.
select 'spans' as name, count(*) as rows from span_rows union all
select 'logs', count(*) from log_rows union all
select 'metric_points', count(*) from point_rows union all
select 'plugin_calls', count(*) from call_rows
