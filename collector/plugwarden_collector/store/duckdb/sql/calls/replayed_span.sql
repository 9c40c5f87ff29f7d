-- From when to when calls are kept, by tier. Gives: oldest, oldest_minute, oldest_second, newest (timestamp or null).
select
    least((select min(bucket_start) from call_hours), (select min(bucket_start) from call_minutes),
        (select min(bucket_start) from call_seconds)) as oldest,
    (select min(bucket_start) from call_minutes) as oldest_minute,
    (select min(bucket_start) from call_seconds) as oldest_second,
    greatest((select max(bucket_start) from call_minutes), (select max(bucket_start) from call_seconds)) as newest
