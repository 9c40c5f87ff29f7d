-- Counts stay in their types, no call is slower than there are calls, and processes that share an identity are told apart by
-- their start. See docs/adr/0018.

-- A sum of counts: never beyond what a double holds (2^53), so that no cast of it fails.
create macro bounded(counted) as least(coalesce(counted, 0), 9007199254740992)::bigint;

-- How many of a row's calls were slower than a bucket: never more than the row has, and none where its lists do not fit each other.
create macro slow_calls(calls, bucket_index, bucket_count, fast) as coalesce(try(least(
    calls::double, list_inner_product(bucket_count::double[], list_transform(bucket_index, lambda i: (i > fast)::double))
)), 0);

-- The last value of every cumulative stream: a series, and the start that its sender tells (1970 where it tells none).
create table cumulative_streams (
    series ubigint not null, started_at timestamp not null, time timestamp not null, count ubigint not null, sum double not null,
    bucket_index integer[] not null, bucket_count ubigint[] not null, primary key (series, started_at)
);
insert into cumulative_streams
select series, if(started_at < time, started_at, timestamp '1970-01-01'), time, count, sum, bucket_index, bucket_count
from cumulative_series;
drop table cumulative_series;

create or replace view plugin_calls as
with totals as (
    select
        bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation,
        outcome, error_source, error_type,
        bounded(sum(calls))::ubigint as calls, sum(duration_seconds_sum) as duration_seconds_sum,
        max(duration_seconds_max) as duration_seconds_max, sum(cpu_seconds) as cpu_seconds,
        flatten(list(bucket_index)) as bucket_index, flatten(list(bucket_count)) as bucket_count
    from call_rows
    group by all
)
from totals where calls > 0 or cpu_seconds > 0;
