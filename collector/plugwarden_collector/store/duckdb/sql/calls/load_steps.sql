-- Calls that ran of one plugin, and their mean time, by the minute. Takes: plugin (varchar), since, until (timestamp), most (bigint).
-- Gives: calls_per_second, seconds; of more minutes than `most`, as many that are spread evenly.
with minutes as (
    select
        date_trunc('minute', bucket_start) as minute, sum(calls) / 60 as calls_per_second, sum(duration_seconds_sum) / sum(calls) as seconds
    from call_rows
    where plugin_id = $plugin and bucket_start > $since::timestamp and bucket_start <= $until::timestamp and contract.ran(outcome) and calls > 0
    group by all
),
numbered as (select *, row_number() over (order by minute) as number, count(*) over () as minutes from minutes)
select calls_per_second, seconds from numbered
where number % greatest(1, ceil(minutes / $most::bigint))::bigint = 0
order by minute
