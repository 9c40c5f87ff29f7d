-- The time of the oldest row of point_rows. Gives: oldest (timestamp or null).
select min(time) as oldest from point_rows
