-- Calls per plugin and step, for sparklines. Takes: the span of time (store/duckdb/calls/resolutions.py), step (double, seconds).
-- Gives: calls (varchar: a JSON list of objects with plugin_id, time, calls, failed, rejected, in the order of time). A thousand
-- plugins have tens of thousands of steps: as rows they would take ten times as long, and hold up everything else in Python.
with steps as (
    select
        plugin_id, floor(epoch(bucket_start) / $step)::bigint as number, bounded(sum(calls)) as calls,
        bounded(sum(calls) filter (contract.failed(outcome))) as failed,
        bounded(sum(calls) filter (contract.refused(outcome))) as rejected
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    group by all
),
named as (
    select distinct number, strftime(make_timestamp((number * $step * 1000000)::bigint), '%Y-%m-%dT%H:%M:%SZ') as time from steps
)
select coalesce(to_json(list({
    'plugin_id': plugin_id, 'time': time, 'calls': calls, 'failed': failed, 'rejected': rejected
} order by number, plugin_id))::varchar, '[]') as calls
from steps join named using (number)
