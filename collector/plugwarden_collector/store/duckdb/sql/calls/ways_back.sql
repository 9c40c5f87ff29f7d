-- To which earlier version each process lets refused calls of a plugin's operations go back, as it last told.
-- Takes: plugin (varchar), since, until (timestamp). Gives: instance, version, operation, previous; at most 10,000 rows.
select
    instance_id as instance, plugin_version as version, plugin_operation as operation,
    arg_max(attributes ->> '$."plugin.previous.version"', time) as previous
from point_rows
where plugin_id = $plugin and metric = 'plugin.terms.declared' and kind = 'gauge'
    and time > $since::timestamp and time <= $until::timestamp
    and attributes ->> '$."plugin.term"' = 'previous' and attributes ->> '$."plugin.previous.version"' is not null
group by instance_id, plugin_version, plugin_operation
order by instance, version, operation
limit 10000
