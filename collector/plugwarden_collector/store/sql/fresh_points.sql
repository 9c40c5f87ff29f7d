-- Calls and CPU time told by a sidecar's metrics: delta points at the contract's scale. Takes: after (ubigint).
-- Gives rows of call_seconds. Counts beyond 2^53 and sums that are no number cannot be meant.
select
    date_trunc('second', time) as bucket_start, service_name, instance_id, plugin_id,
    coalesce(plugin_version, '') as plugin_version, coalesce(plugin_operation, '') as plugin_operation,
    coalesce(outcome, 'success') as outcome, coalesce(error_source, '') as error_source, coalesce(error_type, '') as error_type,
    count as calls, coalesce(sum, 0) as duration_seconds_sum, coalesce(max, 0) as duration_seconds_max, 0::double as cpu_seconds,
    bucket_index, bucket_count
from point_rows
where batch > $after::ubigint and metric = 'plugin.invocation.duration' and kind = 'exponential_histogram'
  and temporality = 1 and scale = 4 and zero_count = 0 and plugin_id is not null and count > 0 and count < 9007199254740992
  and isfinite(coalesce(sum, 0)) and coalesce(sum, 0) >= 0 and isfinite(coalesce(max, 0))
  and coalesce(list_sum(bucket_count), 0) <= count
union all
select
    date_trunc('second', time), service_name, instance_id, plugin_id, coalesce(plugin_version, ''),
    coalesce(plugin_operation, ''), coalesce(outcome, 'success'), coalesce(error_source, ''), coalesce(error_type, ''),
    0, 0, 0, value, [], []
from point_rows
where batch > $after::ubigint and metric = 'plugin.cpu.time' and temporality = 1 and plugin_id is not null
  and value > 0 and isfinite(value)
