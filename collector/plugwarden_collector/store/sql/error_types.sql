-- Which errors carry a plugin's failures. Takes: plugin, version (varchar or null: all), since, until (timestamp).
-- Gives: plugin_version, error_type, error_source, outcome, calls, first_at, last_at; most first.
select
    plugin_version, error_type, error_source, outcome, sum(calls)::bigint as calls,
    min(bucket_start) as first_at, max(bucket_start) as last_at
from call_rows
where plugin_id = $plugin and (plugin_version = $version or $version is null)
  and bucket_start > $since::timestamp and bucket_start <= $until::timestamp and error_type <> ''
group by all order by calls desc limit 50
