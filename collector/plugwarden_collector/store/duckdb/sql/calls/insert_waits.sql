-- Add waits for downstreams. Takes: staging table staged_waits, rows as fresh_waits.sql gives them.
insert into wait_seconds
select bucket_start, plugin_id, downstream, outcome, bounded(sum(waits))::ubigint, sum(seconds) from staged_waits group by all
