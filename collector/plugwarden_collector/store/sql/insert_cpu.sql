-- Add CPU time to the same buckets, from delta points of plugin.cpu.time. Takes: staging table incoming_points.
insert into call_seconds
select
    date_trunc('second', if(time > now()::timestamptz at time zone 'UTC' + interval 10 minute,
                            now()::timestamptz at time zone 'UTC', time)), service_name, instance_id, plugin_id, coalesce(plugin_version, ''),
    coalesce(plugin_operation, ''), coalesce(outcome, 'success'), coalesce(error_source, ''),
    coalesce(error_type, ''), 0, 0, 0, value, [], []
from incoming_points
where metric = 'plugin.cpu.time' and temporality = 1 and plugin_id is not null and value > 0 and isfinite(value)
