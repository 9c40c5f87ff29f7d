-- Rows that could not be counted: set aside, so that everything else goes on, until a person has them tried again or gives them up.
create table set_aside (
    id varchar primary key, time timestamp not null, batch ubigint not null, what varchar not null, rows ubigint not null,
    service_name varchar, plugin_id varchar, error varchar not null, content blob
);

-- Earlier versions let numbers in that no sum survives. What they were counted from is in metric_points and spans for as long as
-- these are kept.
create temp table impossible as
select 'call_seconds' as what, * from call_seconds
where calls > 9007199254740992 or coalesce(list_max(bucket_count), 0) > 9007199254740992
   or not isfinite(duration_seconds_sum) or not isfinite(duration_seconds_max) or not isfinite(cpu_seconds)
union all
select 'call_minutes', * from call_minutes
where calls > 9007199254740992 or coalesce(list_max(bucket_count), 0) > 9007199254740992
   or not isfinite(duration_seconds_sum) or not isfinite(duration_seconds_max) or not isfinite(cpu_seconds)
union all
select 'call_hours', * from call_hours
where calls > 9007199254740992 or coalesce(list_max(bucket_count), 0) > 9007199254740992
   or not isfinite(duration_seconds_sum) or not isfinite(duration_seconds_max) or not isfinite(cpu_seconds);
insert into set_aside
select
    'schema-7-' || row_number() over (order by what, service_name, plugin_id), max(bucket_start), 0, what, count(*), service_name,
    plugin_id, 'an earlier version counted numbers that cannot be', null
from impossible group by what, service_name, plugin_id;
delete from call_seconds
where calls > 9007199254740992 or coalesce(list_max(bucket_count), 0) > 9007199254740992
   or not isfinite(duration_seconds_sum) or not isfinite(duration_seconds_max) or not isfinite(cpu_seconds);
delete from call_minutes
where calls > 9007199254740992 or coalesce(list_max(bucket_count), 0) > 9007199254740992
   or not isfinite(duration_seconds_sum) or not isfinite(duration_seconds_max) or not isfinite(cpu_seconds);
delete from call_hours
where calls > 9007199254740992 or coalesce(list_max(bucket_count), 0) > 9007199254740992
   or not isfinite(duration_seconds_sum) or not isfinite(duration_seconds_max) or not isfinite(cpu_seconds);
drop table impossible;
