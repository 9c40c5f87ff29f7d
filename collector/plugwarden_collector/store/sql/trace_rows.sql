-- Spans in full. Takes: rows (bigint[], as trace_places gave them). Gives one row a span.
select
    format('{:016x}', span_id) as span_id, format('{:016x}', parent_span_id) as parent_span_id, name,
    case kind when 1 then 'internal' when 2 then 'server' when 3 then 'client'
              when 4 then 'producer' when 5 then 'consumer' else 'unspecified' end as kind,
    service_name, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, downstream,
    started_at, duration_ns / 1e9 as duration_seconds,
    case status_code when 1 then 'ok' when 2 then 'error' else 'unset' end as status, status_message,
    text_map(attributes) as attributes,
    coalesce(list_transform(
        events, lambda e: {'time': e.time, 'name': e.name, 'attributes': text_map(e.attributes)}), []) as events
from span_rows
where rowid in (select unnest($rows::bigint[]))
