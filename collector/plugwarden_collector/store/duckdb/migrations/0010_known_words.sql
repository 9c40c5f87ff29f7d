-- Which error types and downstreams of which plugins are told apart (store/words.py), and where there were more than that.
create table known_words (
    kind varchar not null, service_name varchar not null, plugin_id varchar not null, word varchar not null, last_at timestamp not null
);
create table words_beyond (
    kind varchar not null, service_name varchar not null, plugin_id varchar not null, since timestamp not null,
    last_at timestamp not null, calls ubigint not null, primary key (kind, service_name, plugin_id)
);

-- Stores of before may hold any number of words: those that were there first stay, as many as are told apart.
create temp table found_words as
with stored as (
    select 'error_type' as kind, service_name, plugin_id, error_type as word, bucket_start from call_seconds
    union all select 'error_type', service_name, plugin_id, error_type, bucket_start from call_minutes
    union all select 'error_type', service_name, plugin_id, error_type, bucket_start from call_hours
    -- Waits do not say whose they were.
    union all select 'downstream', service_name, plugin_id, downstream, bucket_start
    from wait_seconds join (select distinct service_name, plugin_id from known_names) using (plugin_id)
),
worded as (
    select kind, service_name, plugin_id, word, min(bucket_start) as first_at, max(bucket_start) as last_at
    from stored where word not in ('', '_OTHER') group by all
),
of_plugin as (
    from worded qualify row_number() over (partition by kind, service_name, plugin_id order by first_at, word) <= 50
),
of_service as (
    from of_plugin qualify row_number() over (partition by kind, service_name order by first_at, plugin_id, word) <= 10000
)
select kind, service_name, plugin_id, word, last_at from of_service
qualify row_number() over (partition by kind order by first_at, service_name, plugin_id, word) <= 100000;
insert into known_words from found_words;
drop table found_words;

update call_seconds as rows set error_type = '_OTHER'
where error_type not in ('', '_OTHER') and not exists (
    from known_words as k where k.kind = 'error_type' and k.service_name = rows.service_name and k.plugin_id = rows.plugin_id
        and k.word = rows.error_type);
update call_minutes as rows set error_type = '_OTHER'
where error_type not in ('', '_OTHER') and not exists (
    from known_words as k where k.kind = 'error_type' and k.service_name = rows.service_name and k.plugin_id = rows.plugin_id
        and k.word = rows.error_type);
update call_hours as rows set error_type = '_OTHER'
where error_type not in ('', '_OTHER') and not exists (
    from known_words as k where k.kind = 'error_type' and k.service_name = rows.service_name and k.plugin_id = rows.plugin_id
        and k.word = rows.error_type);
update wait_seconds as rows set downstream = '_OTHER'
where downstream <> '_OTHER' and not exists (
    from known_words as k where k.kind = 'downstream' and k.plugin_id = rows.plugin_id and k.word = rows.downstream);

-- Outcomes and error sources that the contract does not know.
update call_seconds set outcome = '_OTHER' where outcome not in ('success', 'error', 'timeout', 'rejected', 'cancelled', '_OTHER');
update call_minutes set outcome = '_OTHER' where outcome not in ('success', 'error', 'timeout', 'rejected', 'cancelled', '_OTHER');
update call_hours set outcome = '_OTHER' where outcome not in ('success', 'error', 'timeout', 'rejected', 'cancelled', '_OTHER');
update wait_seconds set outcome = '_OTHER' where outcome not in ('success', 'error', 'timeout', 'rejected', 'cancelled', '_OTHER');
update call_seconds set error_source = '_OTHER'
where error_source not in ('', 'plugin', 'downstream', 'host', 'caller', 'quota', '_OTHER');
update call_minutes set error_source = '_OTHER'
where error_source not in ('', 'plugin', 'downstream', 'host', 'caller', 'quota', '_OTHER');
update call_hours set error_source = '_OTHER'
where error_source not in ('', 'plugin', 'downstream', 'host', 'caller', 'quota', '_OTHER');
