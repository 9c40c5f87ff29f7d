-- Error budgets of a plugin over all of its versions: a release does not begin with a full one. `slo_status` has them by version.
create table plugin_budgets (
    slo varchar not null, plugin_id varchar not null, time timestamp not null,
    sli varchar not null, objective double not null, period_seconds double not null, versions ubigint not null,
    total ubigint not null, bad ubigint not null, sli_value double, budget_remaining_ratio double,
    fast_burn_rate double, exhausted_in_seconds double,
    primary key (slo, plugin_id)
);

-- When something pointed at a shared cause last: an open one is over some time after it, also over a restart.
alter table incidents add column seen_at timestamp;
