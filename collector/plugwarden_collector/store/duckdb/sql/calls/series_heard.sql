-- Since when some series are heard, and of how many streams that is known. Takes: staging table wanted_streams. Gives: series,
-- heard_at (bigint: microseconds since 1970), streams.
select series, epoch_us(min(heard_at)) as heard_at, count(*) as streams
from cumulative_streams semi join wanted_streams using (series) group by series
