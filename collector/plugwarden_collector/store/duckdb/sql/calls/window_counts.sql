-- Calls per plugin version and window, all windows in one pass.
-- Takes: at (timestamp), the span of time (store/duckdb/calls/resolutions.py), windows (double[], seconds), operations (varchar: a
-- regular expression; null: all). Gives: plugin_id, plugin_version, window_seconds, total, bad, failed.
-- total: calls that ended by themselves or that the plugin's own breaker refused; bad: those, and failures that the plugin is to
-- blame for; failed: whoever is to blame.
with windows as (select unnest($windows::double[]) as window_seconds),
recent as (
    from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
    where contract.judged(outcome, error_source, error_type) and contract.wanted(plugin_operation)
)
select
    plugin_id, plugin_version, window_seconds,
    bounded(sum(calls)) as total,
    bounded(sum(calls) filter (contract.bad(outcome, error_source, error_type))) as bad,
    bounded(sum(calls) filter (contract.failed(outcome))) as failed
from recent join windows on bucket_start > $at::timestamp - to_seconds(window_seconds)
group by all
