-- When the oldest counted call was, by the finest resolution that is kept of it. Gives: oldest (timestamp or null).
select min(bucket_start) as oldest from call_rows
