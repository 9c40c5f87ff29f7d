-- Add late calls to the minute tier too: those of minutes that were folded already. Takes: staging table staged_calls,
-- before (timestamp).
insert into call_minutes by name
select * replace (date_trunc('minute', bucket_start) as bucket_start) from staged_calls where bucket_start < $before::timestamp
