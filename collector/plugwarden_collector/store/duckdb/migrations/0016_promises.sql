-- When a budget of the calendar began and begins anew, and how much of a period corrections leave out.
alter table plugin_budgets add column period_started_at timestamp;
alter table plugin_budgets add column period_ends_at timestamp;
alter table plugin_budgets add column excluded_seconds double;
alter table slo_status add column period_started_at timestamp;
alter table slo_status add column period_ends_at timestamp;
alter table slo_status add column excluded_seconds double;

-- Stretches of time that a person left out of error budgets, from one full minute up to another.
create table corrections (
    id varchar primary key, plugins varchar not null, objectives varchar not null, owners varchar not null,
    starts_at timestamp not null, ends_at timestamp not null, reason varchar not null, created_by varchar not null,
    created_at timestamp not null, withdrawn_at timestamp
);

-- Hours that a correction begins or ends within: their minutes are kept for as long as hours are.
create macro corrected_hours() as table
select date_trunc('hour', moment) as hour from (
    select unnest([starts_at, ends_at]) as moment from corrections where withdrawn_at is null
)
where moment > date_trunc('hour', moment);
