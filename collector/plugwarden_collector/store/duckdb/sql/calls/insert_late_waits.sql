-- Add waits that are older than the minutes are complete up to. Takes: staging table staged_waits, rows as fresh_waits.sql gives them,
-- before (timestamp).
insert into wait_minutes
select
    date_trunc('minute', bucket_start) as bucket_start, service_name, plugin_id, downstream, outcome,
    bounded(sum(waits))::ubigint, sum(seconds), flatten(list(bucket_index)), flatten(list(bucket_count))
from staged_waits where bucket_start < $before::timestamp group by all
