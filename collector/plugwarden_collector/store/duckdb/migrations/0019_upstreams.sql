-- What plugins wait for, by the minute for as long as calls are kept by the minute: budgets of upstreams are of these waits. Services
-- and histograms are known of waits from here on.
alter table wait_seconds add column service_name varchar default '';
alter table wait_seconds add column bucket_index integer[] default [];
alter table wait_seconds add column bucket_count ubigint[] default [];

create table wait_minutes (
    bucket_start timestamp not null, service_name varchar not null, plugin_id varchar not null, downstream varchar not null,
    outcome varchar not null, waits ubigint not null, seconds double not null,
    bucket_index integer[] not null, bucket_count ubigint[] not null
);
insert into wait_minutes
select
    date_trunc('minute', bucket_start) as bucket_start, service_name, plugin_id, downstream, outcome,
    bounded(sum(waits))::ubigint, sum(seconds), [], []
from wait_seconds where bucket_start < (select time from progress where name = 'minutes')
group by all;

create view upstream_calls as
select
    bucket_start, service_name, plugin_id, downstream as upstream, outcome, waits as calls, seconds as duration_seconds_sum,
    bucket_index, bucket_count
from (
    from wait_minutes where bucket_start < (select time from progress where name = 'minutes')
    union all by name
    from wait_seconds where bucket_start >= (select time from progress where name = 'minutes')
)
where waits > 0;
