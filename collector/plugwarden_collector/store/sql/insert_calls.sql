-- Count invocations by second, from delta points of plugin.invocation.duration. Takes: staging table incoming_points.
insert into call_seconds
select
    date_trunc('second', time), service_name, instance_id, plugin_id, coalesce(plugin_version, ''),
    coalesce(plugin_operation, ''), coalesce(outcome, 'success'), coalesce(error_source, ''),
    coalesce(error_type, ''), count, coalesce(sum, 0), coalesce(max, 0), 0, bucket_index, bucket_count
from incoming_points
where metric = 'plugin.invocation.duration' and kind = 'exponential_histogram' and temporality = 1
  and plugin_id is not null and count > 0
