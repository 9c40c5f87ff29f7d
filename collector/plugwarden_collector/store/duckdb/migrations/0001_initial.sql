-- The first schema. Migrations are numbered, run once each inside a transaction, and are never edited.

create table meta (key varchar primary key, value varchar not null);

-- Hash of every request accepted of late: the same bytes sent again are counted once.
create table requests (hash ubigint primary key, time timestamp not null);

create table resources (
    id ubigint primary key, service_name varchar not null, instance_id varchar not null,
    host_name varchar, environment varchar, attributes map(varchar, varchar)
);

create table span_rows (
    trace_hi ubigint not null, trace_lo ubigint not null, span_id ubigint not null, parent_span_id ubigint,
    name varchar not null, kind tinyint not null, started_at timestamp not null, duration_ns bigint not null,
    status_code tinyint not null, status_message varchar not null,
    resource_id ubigint not null, service_name varchar not null, instance_id varchar not null,
    scope_name varchar not null, scope_version varchar not null,
    plugin_id varchar, plugin_version varchar, plugin_operation varchar,
    outcome varchar, error_source varchar, error_type varchar, tenant_id varchar, downstream varchar,
    attributes map(varchar, varchar),
    events struct(time timestamp, name varchar, attributes map(varchar, varchar))[],
    links struct(trace_id varchar, span_id varchar, attributes map(varchar, varchar))[]
);

create table log_rows (
    time timestamp not null, severity_number smallint not null, severity_text varchar not null,
    body varchar not null, event_name varchar, trace_hi ubigint, trace_lo ubigint, span_id ubigint,
    resource_id ubigint not null, service_name varchar not null, instance_id varchar not null,
    scope_name varchar not null, scope_version varchar not null,
    plugin_id varchar, plugin_version varchar, plugin_operation varchar,
    outcome varchar, error_source varchar, error_type varchar, tenant_id varchar, downstream varchar,
    attributes map(varchar, varchar)
);

create table point_rows (
    metric varchar not null, unit varchar not null, kind varchar not null, temporality tinyint,
    started_at timestamp not null, time timestamp not null,
    value double, count ubigint, sum double, min double, max double,
    zero_count ubigint, scale tinyint, bucket_index integer[], bucket_count ubigint[], explicit_bounds double[],
    exemplar_trace_hi ubigint, exemplar_trace_lo ubigint, exemplar_value double,
    resource_id ubigint not null, service_name varchar not null, instance_id varchar not null,
    scope_name varchar not null, scope_version varchar not null,
    plugin_id varchar, plugin_version varchar, plugin_operation varchar,
    outcome varchar, error_source varchar, error_type varchar, tenant_id varchar, downstream varchar,
    attributes map(varchar, varchar)
);

-- Calls by second (recent) and by minute (older). Rows add up: one key may have several rows until they are compacted.
create table call_seconds (
    bucket_start timestamp not null, service_name varchar not null, instance_id varchar not null,
    plugin_id varchar not null, plugin_version varchar not null, plugin_operation varchar not null,
    outcome varchar not null, error_source varchar not null, error_type varchar not null,
    calls ubigint not null, duration_seconds_sum double not null, duration_seconds_max double not null,
    cpu_seconds double not null, bucket_index integer[] not null, bucket_count ubigint[] not null
);
create table call_minutes as from call_seconds limit 0;

create view spans as
select
    format('{:016x}{:016x}', trace_hi, trace_lo) as trace_id,
    format('{:016x}', span_id) as span_id,
    format('{:016x}', parent_span_id) as parent_span_id,
    name,
    case kind when 1 then 'internal' when 2 then 'server' when 3 then 'client'
              when 4 then 'producer' when 5 then 'consumer' else 'unspecified' end as kind,
    service_name, instance_id, plugin_id, plugin_version, plugin_operation,
    outcome, error_source, error_type, tenant_id, downstream,
    started_at, duration_ns / 1e9 as duration_seconds,
    case status_code when 1 then 'ok' when 2 then 'error' else 'unset' end as status, status_message,
    scope_name, scope_version, attributes, events, links, resource_id
from span_rows;

create view logs as
select
    time, severity_number, severity_text, body, event_name,
    format('{:016x}{:016x}', trace_hi, trace_lo) as trace_id, format('{:016x}', span_id) as span_id,
    service_name, instance_id, plugin_id, plugin_version, plugin_operation, error_type, tenant_id,
    scope_name, scope_version, attributes, resource_id
from log_rows;

create view metric_points as
select
    metric, unit, kind, case temporality when 1 then 'delta' when 2 then 'cumulative' end as temporality,
    started_at, time, value, count, sum, min, max, zero_count, scale, bucket_index, bucket_count, explicit_bounds,
    format('{:016x}{:016x}', exemplar_trace_hi, exemplar_trace_lo) as exemplar_trace_id, exemplar_value,
    service_name, instance_id, plugin_id, plugin_version, plugin_operation,
    outcome, error_source, error_type, tenant_id, downstream,
    scope_name, scope_version, attributes, resource_id
from point_rows;

-- Every invocation is in here exactly once, whatever sampling kept of its trace.
create view call_rows as from call_seconds union all from call_minutes;

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

-- What the judge, the automation and people did.
create table slo_status (
    slo varchar not null, plugin_id varchar not null, plugin_version varchar not null, time timestamp not null,
    sli varchar not null, objective double not null, period_seconds double not null,
    total ubigint not null, bad ubigint not null, sli_value double, budget_remaining_ratio double,
    fast_burn_rate double, exhausted_in_seconds double,
    primary key (slo, plugin_id, plugin_version)
);

create table alerts (
    fingerprint varchar primary key, name varchar not null, severity varchar not null, state varchar not null,
    slo varchar, plugin_id varchar, plugin_version varchar, labels json not null,
    summary varchar not null, description varchar not null,
    pending_at timestamp, firing_at timestamp, resolved_at timestamp, changed_at timestamp not null,
    inhibited_by varchar, source varchar not null, detail json not null
);
create table alert_events (
    time timestamp not null, fingerprint varchar not null, name varchar not null, severity varchar not null,
    plugin_id varchar, plugin_version varchar, before varchar not null, after varchar not null, reason varchar not null
);
create table incidents (
    id varchar primary key, cause varchar not null, summary varchar not null, plugins varchar[] not null,
    started_at timestamp not null, ended_at timestamp, detail json not null
);

create table quarantines (
    id varchar primary key, plugin_id varchar not null, plugin_version varchar, plugin_operation varchar,
    instance_id varchar, tenant_id varchar, state varchar not null, step integer not null,
    share_ratio double not null, reason varchar not null, actor varchar not null, enforcement varchar not null,
    started_at timestamp not null, changed_at timestamp not null, hold_until timestamp, ended_at timestamp,
    repeats integer not null, superseded_by varchar, successor_of varchar, known_versions varchar[] not null,
    alert varchar, evidence json not null
);

create table decisions (
    sequence ubigint primary key, time timestamp not null, kind varchar not null, actor varchar not null,
    scope varchar not null, quarantine_id varchar, enforcement varchar not null, reason varchar not null,
    evidence json not null, previous_hash varchar not null, hash varchar not null
);

create table directive_sets (revision ubigint primary key, time timestamp not null, body json not null);

create table notifications (
    time timestamp not null, receiver varchar not null, fingerprint varchar, status varchar not null,
    attempt integer not null, error varchar, body json not null
);

create table changes (
    time timestamp not null, kind varchar not null, plugin_id varchar, plugin_version varchar,
    service_name varchar, text varchar not null
);

create table silences (
    id varchar primary key, matchers json not null, starts_at timestamp not null, ends_at timestamp not null,
    created_by varchar not null, comment varchar not null, deleted_at timestamp
);
