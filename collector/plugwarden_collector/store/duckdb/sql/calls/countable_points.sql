-- Points of one commit that are counted, those of one sender together. Takes: batch (ubigint). Gives the columns of point_rows.
from point_rows
where batch = $batch::ubigint and plugin_id is not null
  and metric in ('plugin.invocation.duration', 'plugin.cpu.time', 'plugin.downstream.duration')
order by resource_id, plugin_id
