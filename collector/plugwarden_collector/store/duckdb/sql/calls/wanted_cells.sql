-- Calls of some plugins that were counted between two commits, of each plugin and of each of its operations from one of its own on, by all
-- that tells them apart. Takes: plugins (varchar[]), of each: after, upto (ubigint[]), since (timestamp[]); of_plugins,
-- of_versions, of_operations (varchar[]), of_after (ubigint[]): operations that begin elsewhere; of_began (timestamp[], null: never): when
-- the trouble of each of these began, so that what a process told first, of the time before and nothing of it bad, is left out; least (ubigint), first, until (timestamp): the
-- bounds of all of them.
-- Gives: plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id, error_type, total, bad, refused, as
-- arrived_cells does.
with wanted as (select unnest($plugins::varchar[]) as plugin_id, unnest($after::ubigint[]) as after, unnest($upto::ubigint[]) as upto,
    unnest($since::timestamp[]) as since),
elsewhere as (select unnest($of_plugins::varchar[]) as plugin_id, unnest($of_versions::varchar[]) as plugin_version,
    unnest($of_operations::varchar[]) as plugin_operation, unnest($of_after::ubigint[]) as after,
    unnest($of_began::timestamp[]) as began),
told as (
    select
        c.plugin_id, c.plugin_version, c.plugin_operation, service_name, instance_id, host_name, tenant_id, outcome, error_source,
        error_type, calls
    from call_seconds as c
    join wanted using (plugin_id)
    left join elsewhere as e
        on e.plugin_id = c.plugin_id and e.plugin_version = c.plugin_version and e.plugin_operation = c.plugin_operation
    where c.batch > $least::ubigint and bucket_start >= $first::timestamp and bucket_start <= $until::timestamp
      and c.batch > coalesce(e.after, wanted.after) and c.batch <= wanted.upto and bucket_start >= wanted.since
      and contract.judged(outcome, error_source, error_type) and c.plugin_version <> contract.overflow and calls > 0
    qualify e.began is null
      or bucket_start > date_trunc('second', e.began)
      or c.batch > min(c.batch) over (partition by c.plugin_id, c.plugin_version, c.plugin_operation, service_name, instance_id)
      or bool_or(contract.bad(outcome, error_source, error_type))
          over (partition by c.plugin_id, c.plugin_version, c.plugin_operation, service_name, instance_id, c.batch)
)
select
    plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id,
    if(contract.bad(outcome, error_source, error_type), error_type, '') as error_type,
    bounded(sum(calls) filter (contract.ended(outcome, error_source))) as total,
    bounded(sum(calls) filter (contract.at_fault(outcome, error_source))) as bad,
    bounded(sum(calls) filter (contract.cut_off(outcome, error_source, error_type))) as refused
from told
group by all
