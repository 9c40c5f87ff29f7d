-- How many rows of each view are older than it keeps, and how many it has. Takes: raw, minutes, hours, events (timestamp).
-- Gives: view, old, total.
select 'spans' as view, (select count(*) from span_rows where started_at < $raw::timestamp) as old, (select count(*) from span_rows) as total
union all
select 'logs' as view, (select count(*) from log_rows where time < $raw::timestamp) as old, (select count(*) from log_rows) as total
union all
select 'metric_points' as view, (select count(*) from point_rows where time < $raw::timestamp) as old, (select count(*) from point_rows) as total
union all
select 'call_minutes' as view, (select count(*) from call_minutes where bucket_start < $minutes::timestamp
    and date_trunc('hour', bucket_start) not in (from corrected_hours())) as old, (select count(*) from call_minutes) as total
union all
select 'call_hours' as view, (select count(*) from call_hours where bucket_start < $hours::timestamp) as old, (select count(*) from call_hours) as total
union all
select 'alert_events' as view, (select count(*) from alert_events where time < $events::timestamp) as old, (select count(*) from alert_events) as total
union all
select 'notifications' as view, (select count(*) from notifications where time < $events::timestamp) as old, (select count(*) from notifications) as total
union all
select 'changes' as view, (select count(*) from changes where time < $events::timestamp) as old, (select count(*) from changes) as total
union all
select 'slo_status' as view, (select count(*) from slo_status where time < $minutes::timestamp) as old, (select count(*) from slo_status) as total
union all
select 'plugin_budgets' as view, (select count(*) from plugin_budgets where time < $minutes::timestamp) as old, (select count(*) from plugin_budgets) as total
