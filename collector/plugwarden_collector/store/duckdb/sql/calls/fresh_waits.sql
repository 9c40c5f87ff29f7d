-- Fresh waits for downstreams by second, from delta points of plugin.downstream.duration, of plugins that are told apart
-- (told_apart.py): the judge compares plugin by plugin. Takes: after, until (ubigint), and two lists of one length: units (varchar[]),
-- unit_seconds (double[]: how long one of each is). Gives: bucket_start, service_name, plugin_id, downstream, outcome, waits, seconds,
-- bucket_index, bucket_count (the contract's histogram; empty where the sender told none, or another).
select
    date_trunc('second', time) as bucket_start, service_name, plugin_id, downstream, coalesce(outcome, 'success') as outcome,
    bounded(sum(count))::ubigint as waits, sum(coalesce(sum, 0) * unit_second) as seconds,
    flatten(list(if(told, bucket_index, []))) as bucket_index, flatten(list(if(told, bucket_count, []))) as bucket_count
from (
    select *, coalesce(
        kind = 'exponential_histogram' and scale = contract.scale and zero_count = 0 and unit in ('', 's')
        and len(bucket_index) = len(bucket_count) and len(bucket_index) <= contract.places
        and coalesce(list_sum(bucket_count), 0) <= count
        and coalesce(list_min(bucket_index) >= contract.least_index and list_max(bucket_index) <= contract.most_index, false), false
    ) as told
    from point_rows
) as told_rows
join (select unnest($units::varchar[]) as unit, unnest($unit_seconds::double[]) as unit_second) using (unit)
where batch > $after::ubigint and batch <= $until::ubigint and metric = 'plugin.downstream.duration' and temporality = 1
  and exists (from known_names as k where k.service_name = told_rows.service_name and k.plugin_id = told_rows.plugin_id)
  and plugin_id is not null and downstream is not null and count < 4294967296 and isfinite(coalesce(sum, 0))
  and coalesce(sum, 0) * unit_second between 0 and 1e15
group by all
