-- Which plugin versions of which services are told apart (store/told_apart.py), and where there were more than that.
create table known_names (
    service_name varchar not null, plugin_id varchar not null, plugin_version varchar not null, last_at timestamp not null
);
create table names_beyond (
    service_name varchar primary key, since timestamp not null, last_at timestamp not null, calls ubigint not null
);

-- Stores of before may hold any number of names, and some that no directive could hold: those that were there first stay, as
-- many as are told apart, and the calls of the others are counted under one name, so that no turn of the judge pays for them.
create temp table found_names as
with stored as (
    select service_name, plugin_id, plugin_version, bucket_start, calls from call_seconds
    union all select service_name, plugin_id, plugin_version, bucket_start, calls from call_minutes
    union all select service_name, plugin_id, plugin_version, bucket_start, calls from call_hours
),
-- The clock of a sender may have been ahead by ten minutes: nothing here needs to know.
named as (
    select service_name, plugin_id, plugin_version, min(bucket_start) as first_at, max(bucket_start) as last_at
    from stored group by all
),
good as (
    select * from named
    where length(plugin_id) <= 200 and trim(plugin_id) <> '' and length(plugin_version) <= 200
      and plugin_id <> '_OTHER' and plugin_version <> '_OTHER'
      and not regexp_matches(plugin_id || plugin_version,
        '[\x00-\x1f\x7f-\x{9f}\x{2028}\x{2029}\x{61c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}]')
),
of_plugin as (
    from good qualify row_number() over (partition by service_name, plugin_id order by first_at, plugin_version) <= 100
),
of_service as (
    from of_plugin qualify row_number() over (partition by service_name order by first_at, plugin_id, plugin_version) <= 2000
)
select service_name, plugin_id, plugin_version, last_at from of_service
qualify row_number() over (order by first_at, service_name, plugin_id, plugin_version) <= 20000;
insert into known_names from found_names;

update call_seconds as rows set plugin_version = if(exists (
        from known_names as k where k.service_name = rows.service_name and k.plugin_id = rows.plugin_id), '_OTHER', ''),
    plugin_id = if(exists (
        from known_names as k where k.service_name = rows.service_name and k.plugin_id = rows.plugin_id), plugin_id, '_OTHER')
where plugin_id <> '_OTHER' and plugin_version <> '_OTHER' and not exists (
    from known_names as k where k.service_name = rows.service_name and k.plugin_id = rows.plugin_id
        and k.plugin_version = rows.plugin_version);
update call_minutes as rows set plugin_version = if(exists (
        from known_names as k where k.service_name = rows.service_name and k.plugin_id = rows.plugin_id), '_OTHER', ''),
    plugin_id = if(exists (
        from known_names as k where k.service_name = rows.service_name and k.plugin_id = rows.plugin_id), plugin_id, '_OTHER')
where plugin_id <> '_OTHER' and plugin_version <> '_OTHER' and not exists (
    from known_names as k where k.service_name = rows.service_name and k.plugin_id = rows.plugin_id
        and k.plugin_version = rows.plugin_version);
update call_hours as rows set plugin_version = if(exists (
        from known_names as k where k.service_name = rows.service_name and k.plugin_id = rows.plugin_id), '_OTHER', ''),
    plugin_id = if(exists (
        from known_names as k where k.service_name = rows.service_name and k.plugin_id = rows.plugin_id), plugin_id, '_OTHER')
where plugin_id <> '_OTHER' and plugin_version <> '_OTHER' and not exists (
    from known_names as k where k.service_name = rows.service_name and k.plugin_id = rows.plugin_id
        and k.plugin_version = rows.plugin_version);
delete from slo_status where not exists (
    from known_names as k where k.plugin_id = slo_status.plugin_id and k.plugin_version = slo_status.plugin_version);
drop table found_names;
