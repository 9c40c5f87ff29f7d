-- Silences that have ended or were taken back, the last first. Takes: at, since (timestamp). Gives the columns of silences, as they
-- came out: one that was taken back ended then.
with ended as (
    select *, least(ends_at, coalesce(deleted_at, ends_at)) as ended_at
    from silences where deleted_at is not null or ends_at <= $at::timestamp
)
select * exclude (ended_at) replace (ended_at as ends_at, least(starts_at, ended_at) as starts_at)
from ended where ended_at >= $since::timestamp
order by ended_at desc, id
limit 1000
