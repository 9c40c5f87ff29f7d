-- Add late calls to the hour tier too: those of hours that were folded already. Takes: staging table staged_calls,
-- before (timestamp).
insert into call_hours by name
select * replace (date_trunc('hour', bucket_start) as bucket_start) from staged_calls where bucket_start < $before::timestamp
