-- Alerts of objectives that began to fire from a moment on, the oldest first. Takes: since (timestamp).
from alert_events
where time >= $since::timestamp and after = 'firing' and fingerprint not like 'c-%'
  and fingerprint not in (select fingerprint from alerts where slo is null)
order by time, fingerprint
