-- Time spent in each plugin over a recent span. Takes: at, until (timestamp), recent (double, seconds).
-- Gives: plugin_id, calls, seconds.
select plugin_id, sum(calls)::bigint as calls, sum(duration_seconds_sum) as seconds
from call_rows
where bucket_start > $at::timestamp - to_seconds($recent) and bucket_start <= $until::timestamp and outcome <> 'rejected'
group by plugin_id
