-- Attributes as JSON text, a number for every commit, rollups in three tiers, an index of traces. See docs/adr/0011.
drop view plugin_calls;
drop view call_rows;
drop view spans;
drop view logs;
drop view metric_points;
alter table span_rows rename to span_rows_1;
alter table log_rows rename to log_rows_1;
alter table point_rows rename to point_rows_1;
alter table resources rename to resources_1;

create table resource_rows (
    id ubigint primary key, service_name varchar not null, instance_id varchar not null,
    host_name varchar, environment varchar, counts_calls boolean not null, attributes varchar not null
);
insert into resource_rows
select id, service_name, instance_id, host_name, environment,
    coalesce(attributes['telemetry.distro.name'] = 'plugwarden', false), coalesce(to_json(attributes)::varchar, '{}')
from resources_1;

create table span_rows (
    batch ubigint not null,
    trace_hi ubigint not null, trace_lo ubigint not null, span_id ubigint not null, parent_span_id ubigint,
    name varchar not null, kind tinyint not null, started_at timestamp not null, duration_ns bigint not null,
    status_code tinyint not null, status_message varchar not null, trace_state varchar,
    resource_id ubigint not null, service_name varchar not null, instance_id varchar not null,
    scope_name varchar not null, scope_version varchar not null,
    plugin_id varchar, plugin_version varchar, plugin_operation varchar,
    outcome varchar, error_source varchar, error_type varchar, tenant_id varchar, downstream varchar,
    attributes varchar not null,
    events struct(time timestamp, name varchar, attributes varchar)[],
    links struct(trace_id varchar, span_id varchar, attributes varchar)[],
    dropped uinteger not null, received_at timestamp not null, clock_adjusted boolean not null
);
insert into span_rows
select 0, trace_hi, trace_lo, span_id, parent_span_id, name, kind, started_at, duration_ns, status_code, status_message, null,
    resource_id, service_name, instance_id, scope_name, scope_version, plugin_id, plugin_version, plugin_operation,
    outcome, error_source, error_type, tenant_id, downstream, coalesce(to_json(attributes)::varchar, '{}'),
    list_transform(events, lambda e: {'time': e.time, 'name': e.name, 'attributes': coalesce(to_json(e.attributes)::varchar, '{}')}),
    list_transform(links, lambda l: {'trace_id': l.trace_id, 'span_id': l.span_id, 'attributes': coalesce(to_json(l.attributes)::varchar, '{}')}),
    0, started_at, false
from span_rows_1;

create table log_rows (
    batch ubigint not null,
    time timestamp not null, severity_number smallint not null, severity_text varchar not null,
    body varchar not null, event_name varchar, trace_hi ubigint, trace_lo ubigint, span_id ubigint,
    resource_id ubigint not null, service_name varchar not null, instance_id varchar not null,
    scope_name varchar not null, scope_version varchar not null,
    plugin_id varchar, plugin_version varchar, plugin_operation varchar,
    outcome varchar, error_source varchar, error_type varchar, tenant_id varchar, downstream varchar,
    attributes varchar not null, received_at timestamp not null, clock_adjusted boolean not null
);
insert into log_rows
select 0, time, severity_number, severity_text, body, event_name, trace_hi, trace_lo, span_id,
    resource_id, service_name, instance_id, scope_name, scope_version, plugin_id, plugin_version, plugin_operation,
    outcome, error_source, error_type, tenant_id, downstream, coalesce(to_json(attributes)::varchar, '{}'), time, false
from log_rows_1;

create table point_rows (
    batch ubigint not null,
    metric varchar not null, unit varchar not null, kind varchar not null, temporality tinyint,
    started_at timestamp not null, time timestamp not null,
    value double, count ubigint, sum double, min double, max double,
    zero_count ubigint, scale tinyint, bucket_index integer[], bucket_count ubigint[], explicit_bounds double[],
    exemplar_trace_hi ubigint, exemplar_trace_lo ubigint, exemplar_value double,
    resource_id ubigint not null, service_name varchar not null, instance_id varchar not null,
    scope_name varchar not null, scope_version varchar not null,
    plugin_id varchar, plugin_version varchar, plugin_operation varchar,
    outcome varchar, error_source varchar, error_type varchar, tenant_id varchar, downstream varchar,
    attributes varchar not null, received_at timestamp not null, clock_adjusted boolean not null
);
insert into point_rows
select 0, metric, unit, kind, temporality, started_at, time, value, count, sum, min, max, zero_count, scale, bucket_index,
    bucket_count, explicit_bounds, exemplar_trace_hi, exemplar_trace_lo, exemplar_value,
    resource_id, service_name, instance_id, scope_name, scope_version, plugin_id, plugin_version, plugin_operation,
    outcome, error_source, error_type, tenant_id, downstream, coalesce(to_json(attributes)::varchar, '{}'), time, false
from point_rows_1;

drop table span_rows_1;
drop table log_rows_1;
drop table point_rows_1;
drop table resources_1;

-- How far each kind of upkeep has come. `rolled`: raw rows up to this batch are counted in the rollups. `minutes`, `hours`:
-- that tier holds everything before this time. `seconds`: seconds before this time were let go.
create table progress (name varchar primary key, batch ubigint, time timestamp);
insert into progress values
    ('rolled', 0, null), ('seconds', null, timestamp '1970-01-01'),
    ('minutes', null, timestamp '1970-01-01'), ('hours', null, timestamp '1970-01-01');

-- Schema 1 moved seconds into minutes; now the tiers hold the same calls at three resolutions. Seconds that it still had are
-- folded by the first round of upkeep, which begins where its minutes end.
create table call_hours as from call_minutes limit 0;
update progress set time = (
    select coalesce(max(bucket_start) + interval 1 minute, timestamp '1970-01-01') from call_minutes
) where name in ('seconds', 'minutes');
insert into call_minutes
select
    date_trunc('minute', bucket_start), service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome,
    error_source, error_type, calls, duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count
from call_seconds
where bucket_start < (select time from progress where name = 'minutes');
insert into call_hours
select
    date_trunc('hour', bucket_start), service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome,
    error_source, error_type, calls, duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count
from call_minutes
where bucket_start < (select date_trunc('hour', time) from progress where name = 'minutes');
update progress set time = (select date_trunc('hour', time) from progress where name = 'minutes') where name = 'hours';

-- Which blocks of span_rows may hold a trace: a Bloom filter over the trace ids of a run of batches.
create table trace_blocks (
    first_batch ubigint primary key, last_batch ubigint not null, first_at timestamp not null, last_at timestamp not null,
    spans ubigint not null, traces ubigint not null, filter blob not null
);

-- The last value of every cumulative series that calls are counted from, so that increases can be told after a restart.
create table cumulative_series (
    series ubigint primary key, started_at timestamp not null, time timestamp not null, count ubigint not null, sum double not null,
    bucket_index integer[] not null, bucket_count ubigint[] not null
);

-- How long plugins waited for named downstreams, by the second, for an hour.
create table wait_seconds (
    bucket_start timestamp not null, plugin_id varchar not null, downstream varchar not null, outcome varchar not null,
    waits ubigint not null, seconds double not null
);

create macro hex_id(hi, lo) as format('{:016x}{:016x}', hi, lo);
create macro text_map(attributes) as from_json(attributes, '"MAP(VARCHAR, VARCHAR)"');

create view resources as
select id, service_name, instance_id, host_name, environment, counts_calls, text_map(attributes) as attributes
from resource_rows;

create view spans as
select
    hex_id(trace_hi, trace_lo) as trace_id,
    format('{:016x}', span_id) as span_id,
    format('{:016x}', parent_span_id) as parent_span_id,
    name,
    case kind when 1 then 'internal' when 2 then 'server' when 3 then 'client'
              when 4 then 'producer' when 5 then 'consumer' else 'unspecified' end as kind,
    service_name, instance_id, plugin_id, plugin_version, plugin_operation,
    outcome, error_source, error_type, tenant_id, downstream,
    started_at, duration_ns / 1e9 as duration_seconds,
    case status_code when 1 then 'ok' when 2 then 'error' else 'unset' end as status, status_message,
    scope_name, scope_version, text_map(attributes) as attributes,
    coalesce(list_transform(
        events, lambda e: {'time': e.time, 'name': e.name, 'attributes': text_map(e.attributes)}), []) as events,
    coalesce(list_transform(
        links, lambda l: {'trace_id': l.trace_id, 'span_id': l.span_id, 'attributes': text_map(l.attributes)}), []) as links,
    resource_id, trace_state, dropped, received_at, clock_adjusted, batch
from span_rows;

create view logs as
select
    time, severity_number, severity_text, body, event_name,
    hex_id(trace_hi, trace_lo) as trace_id, format('{:016x}', span_id) as span_id,
    service_name, instance_id, plugin_id, plugin_version, plugin_operation, error_type, tenant_id,
    scope_name, scope_version, text_map(attributes) as attributes, resource_id, received_at, clock_adjusted, batch
from log_rows;

create view metric_points as
select
    metric, unit, kind, case temporality when 1 then 'delta' when 2 then 'cumulative' end as temporality,
    started_at, time, value, count, sum, min, max, zero_count, scale, bucket_index, bucket_count, explicit_bounds,
    hex_id(exemplar_trace_hi, exemplar_trace_lo) as exemplar_trace_id, exemplar_value,
    service_name, instance_id, plugin_id, plugin_version, plugin_operation,
    outcome, error_source, error_type, tenant_id, downstream,
    scope_name, scope_version, text_map(attributes) as attributes, resource_id, received_at, clock_adjusted, batch
from point_rows;

-- Every invocation is in here exactly once, whatever sampling kept of its trace: by the second where seconds are kept.
create view call_rows as
select * from call_seconds where bucket_start >= (select time from progress where name = 'seconds')
union all
select * from call_minutes where bucket_start < (select time from progress where name = 'seconds');

-- The same over a span of time, from as few rows as hold it: whole hours, then minutes, then seconds. The caller says where
-- hours begin (first_hour) and end (hours_end), and where minutes end (minutes_end); store/tiers.py works them out.
create macro call_span(since, until, first_hour, hours_end, minutes_end) as table
select * from call_hours where bucket_start >= first_hour and bucket_start < hours_end
union all
select * from call_minutes
where bucket_start > since and bucket_start <= until and bucket_start < minutes_end
  and (bucket_start < first_hour or bucket_start >= hours_end)
union all
select * from call_seconds where bucket_start > since and bucket_start <= until and bucket_start >= minutes_end;

create view plugin_calls as
with totals as (
    select
        bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation,
        outcome, error_source, error_type,
        sum(calls)::ubigint as calls, sum(duration_seconds_sum) as duration_seconds_sum,
        max(duration_seconds_max) as duration_seconds_max, sum(cpu_seconds) as cpu_seconds,
        flatten(list(bucket_index)) as bucket_index, flatten(list(bucket_count)) as bucket_count
    from call_rows
    group by all
)
from totals where calls > 0 or cpu_seconds > 0;
