-- The limit that came nearest to being used up, of each plugin and resource, within a span of time. Takes: since, until (timestamp).
-- Gives: plugin_id, resource, limit_value.
select plugin_id, resource, arg_max(limit_value, used / limit_value) as limit_value
from limit_minutes where bucket_start >= $since::timestamp and bucket_start <= $until::timestamp
group by all
