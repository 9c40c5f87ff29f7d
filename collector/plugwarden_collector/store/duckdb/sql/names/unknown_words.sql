-- Words of one kind among freshly counted calls or waits that are not known, or known and not noted for a while: no more of each
-- service and plugin than can be told apart. Takes: kind (varchar), stale (timestamp), of_plugin, of_service (bigint), staging table
-- staged_words. Gives: service_name, plugin_id, told, known (boolean); in the order in which they are given places.
with worded as (
    select service_name, plugin_id, word, min(bucket_start) as first_at from staged_words group by all
),
found as (
    select worded.*, k.last_at is not null as known from worded
    left join (from known_words where kind = $kind) as k using (service_name, plugin_id, word)
    where k.last_at is null or k.last_at < $stale::timestamp
),
of_plugin as (
    from found qualify known or row_number() over (
        partition by service_name, plugin_id, known order by first_at, word) <= $of_plugin
)
select service_name, plugin_id, word as told, known from of_plugin
qualify known or row_number() over (partition by service_name, known order by first_at, plugin_id, word) <= $of_service
order by first_at, service_name, plugin_id, word
