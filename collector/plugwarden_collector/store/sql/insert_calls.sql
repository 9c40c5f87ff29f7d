-- Count invocations by second, from delta points of plugin.invocation.duration. Takes: staging table incoming_points.
-- A clock more than ten minutes ahead is put right; counts beyond 2^53 and sums that are no number cannot be meant.
insert into call_seconds
select
    date_trunc('second', if(time > now()::timestamptz at time zone 'UTC' + interval 10 minute,
                            now()::timestamptz at time zone 'UTC', time)), service_name, instance_id, plugin_id, coalesce(plugin_version, ''),
    coalesce(plugin_operation, ''), coalesce(outcome, 'success'), coalesce(error_source, ''),
    coalesce(error_type, ''), count, coalesce(sum, 0), coalesce(max, 0), 0, bucket_index, bucket_count
from incoming_points
where metric = 'plugin.invocation.duration' and kind = 'exponential_histogram' and temporality = 1
  and plugin_id is not null and count > 0 and count < 9007199254740992
  and isfinite(coalesce(sum, 0)) and coalesce(sum, 0) >= 0 and isfinite(coalesce(max, 0))
  and coalesce(list_sum(bucket_count), 0) <= count
