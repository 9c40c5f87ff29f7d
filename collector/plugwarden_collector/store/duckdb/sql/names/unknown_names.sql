-- Names among freshly counted calls that are not known, or known and not noted for a while: no more of each service and plugin
-- than can be told apart. Takes: stale (timestamp), of_plugin, of_service (bigint). Gives: service_name, plugin_id, told,
-- known (boolean); in the order in which they are given places.
with named as (
    select service_name, plugin_id, plugin_version, min(bucket_start) as first_at from staged_calls
    where plugin_id <> '_OTHER' and plugin_version <> '_OTHER' group by all
),
found as (
    select named.*, k.last_at is not null as known from named left join known_names as k using (service_name, plugin_id, plugin_version)
    where k.last_at is null or k.last_at < $stale::timestamp
),
of_plugin as (
    from found qualify known or row_number() over (
        partition by service_name, plugin_id, known order by first_at, plugin_version) <= $of_plugin
)
select service_name, plugin_id, plugin_version as told, known from of_plugin
qualify known or row_number() over (partition by service_name, known order by first_at, plugin_id, plugin_version) <= $of_service
order by first_at, service_name, plugin_id, plugin_version
