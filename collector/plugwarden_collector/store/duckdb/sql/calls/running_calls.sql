-- Calls under way in operations of some plugins, as each host process told last.
-- Takes: plugins (varchar[]), at (timestamp). Gives: plugin_id, plugin_version, plugin_operation, instance_id, running (bigint), state
-- (the number of QuarantineState that the process obeys).
select
    plugin_id, coalesce(plugin_version, '') as plugin_version, coalesce(plugin_operation, '') as plugin_operation, instance_id,
    try_cast(arg_max(value, time) filter (metric = 'plugin.invocation.active') as bigint) as running,
    try_cast(arg_max(value, time) filter (metric = 'plugin.quarantine.state') as int) as state
from point_rows
-- Gauges that do not change are told once a minute: who was silent for two is gone. By our clock, for a host's may be ahead.
where list_contains($plugins::varchar[], plugin_id) and received_at > $at::timestamp - interval 2 minutes and kind = 'gauge'
  and metric in ('plugin.invocation.active', 'plugin.quarantine.state')
group by plugin_id, plugin_version, plugin_operation, instance_id
having running is not null
order by plugin_id, plugin_version, plugin_operation, instance_id
