-- When the oldest call that is kept was; where hours alone have it, their full hour. Gives: oldest (timestamp or null).
select case
    when hours.oldest < date_trunc('hour', finer.oldest) or finer.oldest is null then hours.oldest else finer.oldest
end as oldest
from (select min(bucket_start) as oldest from call_hours) as hours, (select min(bucket_start) as oldest from call_rows) as finer
