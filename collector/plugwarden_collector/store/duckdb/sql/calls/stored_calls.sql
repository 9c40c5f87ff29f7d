-- Rows of one tier of rollups, for the memory of calls. Takes: tier (varchar: seconds, minutes or hours), first, before
-- (timestamp), histograms (boolean: false leaves them empty). Gives rows of the tier, without what tells instances and operations
-- apart.
with rows as (
    select bucket_start, plugin_id, plugin_version, outcome, error_source, calls, duration_seconds_sum, cpu_seconds, bucket_index,
        bucket_count
    from call_seconds where $tier = 'seconds' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select bucket_start, plugin_id, plugin_version, outcome, error_source, calls, duration_seconds_sum, cpu_seconds, bucket_index,
        bucket_count
    from call_minutes where $tier = 'minutes' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
    union all
    select bucket_start, plugin_id, plugin_version, outcome, error_source, calls, duration_seconds_sum, cpu_seconds, bucket_index,
        bucket_count
    from call_hours where $tier = 'hours' and bucket_start >= $first::timestamp and bucket_start < $before::timestamp
)
select * exclude (told) replace (if(told, bucket_index, []) as bucket_index, if(told, bucket_count, []) as bucket_count)
from (select *, $histograms::boolean and len(bucket_index) = len(bucket_count) as told from rows)
