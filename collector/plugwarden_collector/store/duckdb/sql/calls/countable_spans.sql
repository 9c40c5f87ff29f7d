-- Spans of one commit that may be calls, those of one sender together. Takes: batch (ubigint). Gives the columns of span_rows.
from span_rows where batch = $batch::ubigint and plugin_id is not null order by resource_id, plugin_id
