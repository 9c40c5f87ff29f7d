-- Which sender a cumulative stream is of, and since when it is heard: a new series of a sender that was heard before is counted
-- from its start. And who sends several processes as one stream.
create table streams_before as from cumulative_streams;
drop table cumulative_streams;
create table cumulative_streams (
    series ubigint not null, started_at timestamp not null, sender ubigint not null, heard_at timestamp not null,
    time timestamp not null, count ubigint not null, sum double not null,
    bucket_index integer[] not null, bucket_count ubigint[] not null, primary key (series, started_at)
);
-- Of those of before the sender is not known: 0 is nobody's.
insert into cumulative_streams by name
select series, started_at, 0::ubigint as sender, time as heard_at, time, count, sum, bucket_index, bucket_count from streams_before
qualify row_number() over (partition by series order by time desc, started_at desc) <= 256;
drop table streams_before;

create table shared_starts (
    service_name varchar primary key, since timestamp not null, last_at timestamp not null, points ubigint not null
);
