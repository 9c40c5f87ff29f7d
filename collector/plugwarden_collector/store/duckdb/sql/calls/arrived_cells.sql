-- Calls that were counted between two commits, by all that tells them apart: of some plugins all, of others those that count against
-- them. Takes: after, mark (ubigint), since, until (timestamp), detail (varchar[]: the plugins of which all are wanted).
-- Gives: plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id, error_type (of failures that the
-- plugin is to blame for, and of refusals), total, bad, refused, as arrived_streams does.
select
    plugin_id, plugin_version, plugin_operation, service_name, instance_id, host_name, tenant_id,
    if(contract.bad(outcome, error_source, error_type), error_type, '') as error_type,
    bounded(sum(calls) filter (contract.ended(outcome, error_source))) as total,
    bounded(sum(calls) filter (contract.at_fault(outcome, error_source))) as bad,
    bounded(sum(calls) filter (contract.cut_off(outcome, error_source, error_type))) as refused
from call_seconds
where batch > $after::ubigint and batch <= $mark::ubigint and bucket_start >= $since::timestamp and bucket_start <= $until::timestamp
  and contract.judged(outcome, error_source, error_type) and plugin_id <> contract.overflow and plugin_version <> contract.overflow and calls > 0
  and (contract.bad(outcome, error_source, error_type) or list_contains($detail::varchar[], plugin_id))
group by all
