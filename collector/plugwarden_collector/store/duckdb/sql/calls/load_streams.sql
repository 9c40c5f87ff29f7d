-- The last values of the cumulative streams that some points go on from: their own, and those of their series that tell no start.
-- Takes: staging table wanted_streams (series, sender, started_at). Gives the columns of cumulative_streams.
select cumulative_streams.* from cumulative_streams
semi join (
    select series, started_at from wanted_streams union select series, timestamp '1970-01-01' from wanted_streams
) as wanted using (series, started_at)
