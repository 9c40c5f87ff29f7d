-- A log record by its place, and as many that match before and after it in the order of time; none where it is not kept any more.
-- Takes: plugin, text (varchar or null), severity (smallint or null), hi, lo (ubigint or null: of a trace), batch, place (ubigint), limit.
-- Gives: id (commit, and place among the records of it), and what the view logs has.
with chosen as materialized (
    select batch, place, time from log_rows where batch = $batch::ubigint and log_rows.place = $place::ubigint
),
matching as not materialized (
    select batch, place, time from log_rows
    where ($plugin::varchar is null or plugin_id = $plugin) and ($severity::smallint is null or severity_number >= $severity)
      and ($text::varchar is null or contains(lower(body), lower($text)))
      and ($hi::ubigint is null or (trace_hi = $hi and trace_lo = $lo::ubigint))
),
found as materialized (
    select batch, place from chosen
    union all
    (select m.batch, m.place from matching as m, chosen as c where (m.time, m.batch, m.place) < (c.time, c.batch, c.place)
    order by m.time desc, m.batch desc, m.place desc limit $limit)
    union all
    (select m.batch, m.place from matching as m, chosen as c where (m.time, m.batch, m.place) > (c.time, c.batch, c.place)
    order by m.time, m.batch, m.place limit $limit)
)
select
    format('{}-{}', batch, place) as id, time, severity_number, severity_text, body, service_name, plugin_id, plugin_version,
    plugin_operation, error_type, hex_id(trace_hi, trace_lo) as trace_id, format('{:016x}', span_id) as span_id
from log_rows semi join found using (batch, place) order by time, batch, place
