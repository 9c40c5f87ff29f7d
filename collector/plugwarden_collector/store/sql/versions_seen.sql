-- Every plugin version that ran within a span of time. Takes: since, until (timestamp).
-- Gives: plugin_id, plugin_version, calls, first_at, last_at.
select
    plugin_id, plugin_version, sum(calls)::bigint as calls, min(bucket_start) as first_at, max(bucket_start) as last_at
from call_rows where bucket_start > $since::timestamp and bucket_start <= $until::timestamp and calls > 0
group by all
