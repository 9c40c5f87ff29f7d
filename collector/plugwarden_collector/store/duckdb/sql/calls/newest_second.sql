-- The latest second, or minute, with a call that is not in the future. Takes: at (timestamp). Gives: newest (timestamp or null).
select greatest(
    (select max(bucket_start) from call_seconds where bucket_start <= $at::timestamp),
    (select max(bucket_start) from call_minutes where bucket_start <= $at::timestamp)
) as newest
