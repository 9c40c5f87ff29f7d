-- A log record by its place, and as many that match before and after it in the order of time.
-- Takes: plugin, text (varchar or null), severity (smallint or null), hi, lo (ubigint or null: of a trace), batch, place (ubigint), limit.
-- Gives: id (commit, and place among the records of it), and what the view logs has.
with chosen as materialized (
    select batch, row, time from (
        select batch, rowid as row, time, row_number() over (order by rowid) as place from log_rows where batch = $batch::ubigint)
    where place = $place::ubigint
),
matching as not materialized (
    select rowid as row, batch, time from log_rows
    where ($plugin::varchar is null or plugin_id = $plugin) and ($severity::smallint is null or severity_number >= $severity)
      and ($text::varchar is null or contains(lower(body), lower($text)))
      and ($hi::ubigint is null or (trace_hi = $hi and trace_lo = $lo::ubigint))
),
found as materialized (
    select batch, row from chosen
    union all
    (select m.batch, m.row from matching as m, chosen as c where (m.time, m.batch, m.row) < (c.time, c.batch, c.row)
    order by m.time desc, m.batch desc, m.row desc limit $limit)
    union all
    (select m.batch, m.row from matching as m, chosen as c where (m.time, m.batch, m.row) > (c.time, c.batch, c.row)
    order by m.time, m.batch, m.row limit $limit)
),
placed as (
    select *, rowid as row, row_number() over (partition by batch order by rowid) as place from log_rows
    where batch in (select batch from found)
)
select
    format('{}-{}', batch, place) as id, time, severity_number, severity_text, body, service_name, plugin_id, plugin_version,
    plugin_operation, error_type, hex_id(trace_hi, trace_lo) as trace_id, format('{:016x}', span_id) as span_id
from placed semi join found using (row) order by time, batch, place
