-- Count waits for downstreams by second, from delta points of plugin.downstream.duration. Takes: after (ubigint).
insert into wait_seconds
select date_trunc('second', time), plugin_id, downstream, coalesce(outcome, 'success'), sum(count)::ubigint, sum(coalesce(sum, 0))
from point_rows
where batch > $after::ubigint and metric = 'plugin.downstream.duration' and temporality = 1
  and plugin_id is not null and downstream is not null and count < 4294967296 and isfinite(coalesce(sum, 0))
  and coalesce(sum, 0) between 0 and 1e15
group by all
