-- Time spent in each plugin over a recent span. Takes: the span of time (store/duckdb/calls/resolutions.py).
-- Gives: plugin_id, calls, seconds.
select plugin_id, bounded(sum(calls)) as calls, sum(duration_seconds_sum) as seconds
from call_span($since::timestamp, $until::timestamp, $first_hour::timestamp, $hours_end::timestamp, $minutes_end::timestamp)
where contract.ran(outcome)
group by plugin_id
