-- The latest time that any row carries which is let go by its age. Gives: newest (timestamp or null).
select greatest(
    (select max(started_at) from span_rows), (select max(time) from log_rows), (select max(time) from point_rows),
    (select max(bucket_start) from call_seconds), (select max(bucket_start) from call_minutes)
) as newest
