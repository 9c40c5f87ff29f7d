-- Rows of one tier to look at one by one, those of one plugin together. Takes: first, before (timestamp).
-- Gives the columns of call_minutes, and row (bigint).
select *, rowid as row from call_minutes
where bucket_start >= $first::timestamp and bucket_start < $before::timestamp order by plugin_id, plugin_version, bucket_start
