-- Recent failed spans of a plugin, as evidence. Takes: plugin (varchar), version (varchar or null), since, until (timestamp), limit.
-- Gives: trace_id, span_id, plugin_version, started_at, duration_seconds, error_type, status_message.
select
    format('{:016x}{:016x}', trace_hi, trace_lo) as trace_id, format('{:016x}', span_id) as span_id,
    plugin_version, started_at, duration_ns / 1e9 as duration_seconds, error_type, status_message
from span_rows
where plugin_id = $plugin and (plugin_version = $version or $version is null) and started_at > $since::timestamp
  and started_at <= $until::timestamp
  and contract.failed(outcome) and downstream is null
order by started_at desc limit $limit
