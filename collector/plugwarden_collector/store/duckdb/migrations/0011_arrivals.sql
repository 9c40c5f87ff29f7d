-- Seconds say for which tenant and on which machine calls were, and after which commit they were counted: judging reads what
-- arrived since it last looked. Minutes and hours stay as they are, so that tenants and machines never fill them.
alter table call_seconds add column tenant_id varchar default '';
alter table call_seconds add column host_name varchar default '';
alter table call_seconds add column batch ubigint default 0;

create or replace view call_rows as
select
    bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type,
    calls, duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count
from call_seconds where bucket_start >= (select time from progress where name = 'seconds')
union all
select * from call_minutes where bucket_start < (select time from progress where name = 'seconds');

-- Parameters as in migration 2.
create or replace macro call_span(since, until, first_hour, hours_end, minutes_end) as table
select * from call_hours where bucket_start >= first_hour and bucket_start < hours_end
union all
select * from call_minutes
where bucket_start > since and bucket_start <= until and bucket_start < minutes_end
  and (bucket_start < first_hour or bucket_start >= hours_end)
union all
select
    bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type,
    calls, duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count
from call_seconds where bucket_start > since and bucket_start <= until and bucket_start >= minutes_end;
