-- Calls that got no answer within an objective's threshold, per plugin version and window: slow ones, and what the plugin's own breaker
-- refused.
-- Takes: at (timestamp), the span of time (store/duckdb/calls/resolutions.py), windows (double[], seconds), operations (varchar: a
-- regular expression; null: all), and three lists of one length: slos, plugins, indexes (the last
-- histogram bucket that is still fast). Gives: slo, plugin_id, plugin_version, window_seconds, total, bad.
with windows as (select unnest($windows::double[]) as window_seconds),
thresholds as (
    select unnest($slos::varchar[]) as slo, unnest($plugins::varchar[]) as plugin_id, unnest($indexes::integer[]) as fast
),
recent as (
    select slo, plugin_id, plugin_version, bucket_start, calls,
        if(contract.cut_off(outcome, error_source, error_type), calls, slow_calls(calls, bucket_index, bucket_count, fast)) as slow
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    join thresholds using (plugin_id)
    where contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation)
)
select
    slo, plugin_id, plugin_version, window_seconds,
    bounded(sum(calls)) as total, bounded(sum(slow)) as bad
from recent join windows on bucket_start > $at::timestamp - to_seconds(window_seconds)
group by all
