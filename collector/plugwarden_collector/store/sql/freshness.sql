-- How fresh the stored calls are. Gives: newest (timestamp or null), plugins seen within an hour of it.
select max(bucket_start) as newest from call_seconds
