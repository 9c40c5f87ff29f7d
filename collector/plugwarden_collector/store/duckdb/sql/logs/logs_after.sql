-- Log records that match and arrived after a place, in the order of arrival: only these are more than compared.
-- Takes: plugin, text (varchar or null), severity (smallint or null), hi, lo (ubigint or null: of a trace), batch, place (ubigint), limit.
-- Gives: id (commit, and place among the records of it), and what the view logs has.
with found as (
    select * from log_rows
    where batch >= $batch::ubigint and (batch > $batch::ubigint or place > $place::ubigint)
          and ($plugin::varchar is null or plugin_id = $plugin) and ($severity::smallint is null or severity_number >= $severity)
          and ($text::varchar is null or contains(lower(body), lower($text)))
          and ($hi::ubigint is null or (trace_hi = $hi and trace_lo = $lo::ubigint))
    order by batch, place limit $limit
)
select
    format('{}-{}', batch, place) as id, time, severity_number, severity_text, body, service_name, plugin_id, plugin_version,
    plugin_operation, error_type, hex_id(trace_hi, trace_lo) as trace_id, format('{:016x}', span_id) as span_id
from found order by batch, place
