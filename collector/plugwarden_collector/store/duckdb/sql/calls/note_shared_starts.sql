-- Note services of which several processes share identity and start. Takes two lists of one length: services (varchar[]), points
-- (ubigint[]: that were not counted); at (timestamp), most (bigint: services that are noted, about).
insert into shared_starts
select service_name, $at::timestamp, $at::timestamp, points from (
    select unnest($services::varchar[]) as service_name, unnest($points::ubigint[]) as points
)
where service_name in (select service_name from shared_starts) or (select count(*) from shared_starts) < $most::bigint
qualify row_number() over (order by service_name) <= $most::bigint
on conflict (service_name) do update set last_at = excluded.last_at, points = shared_starts.points + excluded.points
