-- Note plugins whose calls or waits are beyond the words that are told apart. Takes three lists of one length: services, plugins
-- (varchar[]), calls (ubigint[]); kind (varchar), at (timestamp), most (bigint: plugins that are noted of a kind, about).
insert into words_beyond
select $kind, service_name, plugin_id, $at::timestamp, $at::timestamp, calls from (
    select unnest($services::varchar[]) as service_name, unnest($plugins::varchar[]) as plugin_id, unnest($calls::ubigint[]) as calls
)
where ($kind, service_name, plugin_id) in (select (kind, service_name, plugin_id) from words_beyond)
   or (select count(*) from words_beyond where kind = $kind) < $most::bigint
qualify row_number() over (order by service_name, plugin_id) <= $most::bigint
on conflict (kind, service_name, plugin_id) do update
    set last_at = excluded.last_at, calls = bounded(words_beyond.calls::hugeint + excluded.calls)::ubigint
