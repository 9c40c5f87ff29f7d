-- Add waits for downstreams. Takes: staging table staged_waits, rows as fresh_waits.sql gives them.
insert into wait_seconds (bucket_start, plugin_id, downstream, outcome, waits, seconds, service_name, bucket_index, bucket_count)
select
    bucket_start, plugin_id, downstream, outcome, bounded(sum(waits))::ubigint, sum(seconds), service_name,
    flatten(list(bucket_index)), flatten(list(bucket_count))
from staged_waits group by all
