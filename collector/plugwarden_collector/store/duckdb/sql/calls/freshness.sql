-- How fresh the stored calls are. Gives: newest (timestamp or null).
select coalesce((select max(bucket_start) from call_seconds), (select max(bucket_start) from call_minutes)) as newest
