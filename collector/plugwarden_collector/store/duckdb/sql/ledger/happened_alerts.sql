-- Alerts on plugins that began to fire from a moment on, the oldest first. Takes: since (timestamp).
from alert_events where time >= $since::timestamp and after = 'firing' and fingerprint not like 'c-%' order by time, fingerprint
