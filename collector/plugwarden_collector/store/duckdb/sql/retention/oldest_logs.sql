-- The time of the oldest row of log_rows. Gives: oldest (timestamp or null).
select min(time) as oldest from log_rows
