-- Minutes from before a moment, but for those of hours that a correction divides. Takes: before (timestamp).
select * from call_minutes
where bucket_start < $before::timestamp and date_trunc('hour', bucket_start) not in (from corrected_hours())
