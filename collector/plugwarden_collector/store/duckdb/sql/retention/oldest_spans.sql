-- The time of the oldest row of span_rows. Gives: oldest (timestamp or null).
select min(started_at) as oldest from span_rows
