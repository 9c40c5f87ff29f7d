-- Note services whose calls are beyond the names that are told apart. Takes two lists of one length: services (varchar[]), calls
-- (ubigint[]); at (timestamp), most (bigint: services that are noted, about).
insert into names_beyond
select service_name, $at::timestamp, $at::timestamp, calls from (
    select unnest($services::varchar[]) as service_name, unnest($calls::ubigint[]) as calls
)
where service_name in (select service_name from names_beyond) or (select count(*) from names_beyond) < $most::bigint
qualify row_number() over (order by service_name) <= $most::bigint
on conflict (service_name) do update set last_at = excluded.last_at, calls = names_beyond.calls + excluded.calls
