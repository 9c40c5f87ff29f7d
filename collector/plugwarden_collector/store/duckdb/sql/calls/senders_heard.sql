-- Since when any series of some senders (resource and start) is heard. Takes: staging table wanted_streams. Gives: sender,
-- started_at, heard_at (bigint: microseconds since 1970).
select sender, epoch_us(started_at) as started_at, epoch_us(min(heard_at)) as heard_at
from cumulative_streams semi join wanted_streams using (sender, started_at) group by all
