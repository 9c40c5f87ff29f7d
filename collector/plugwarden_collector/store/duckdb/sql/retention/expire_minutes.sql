-- Forget minute rollups beyond their age, but for those of hours that a correction divides. Takes: before (timestamp).
delete from call_minutes
where bucket_start < $before::timestamp and date_trunc('hour', bucket_start) not in (from corrected_hours())
