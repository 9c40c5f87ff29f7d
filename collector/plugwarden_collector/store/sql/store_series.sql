-- Keep the last value of a cumulative series. Takes: its columns.
insert or replace into cumulative_series
values ($series, $started_at, $time, $count, $sum, $bucket_index::integer[], $bucket_count::ubigint[])
