-- How many rows of the second tier each minute holds, newest first. Gives: minute (timestamp), rows.
select date_trunc('minute', bucket_start) as minute, count(*) as rows from call_seconds group by all order by minute desc
