-- Fresh waits for downstreams by second, from delta points of plugin.downstream.duration, of plugins that are told apart
-- (told_apart.py): the judge compares plugin by plugin. Takes: after, until (ubigint), and two lists of one length: units (varchar[]),
-- unit_seconds (double[]: how long one of each is). Gives: bucket_start, service_name, plugin_id, downstream, outcome, waits, seconds.
select
    date_trunc('second', time) as bucket_start, service_name, plugin_id, downstream, coalesce(outcome, 'success') as outcome,
    bounded(sum(count))::ubigint as waits, sum(coalesce(sum, 0) * unit_second) as seconds
from point_rows
join (select unnest($units::varchar[]) as unit, unnest($unit_seconds::double[]) as unit_second) using (unit)
where batch > $after::ubigint and batch <= $until::ubigint and metric = 'plugin.downstream.duration' and temporality = 1
  and exists (from known_names as k where k.service_name = point_rows.service_name and k.plugin_id = point_rows.plugin_id)
  and plugin_id is not null and downstream is not null and count < 4294967296 and isfinite(coalesce(sum, 0))
  and coalesce(sum, 0) * unit_second between 0 and 1e15
group by all
