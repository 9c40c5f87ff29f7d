-- The history of alerts on plugins, newest first. Takes: since (timestamp).
from alert_events where time > $since::timestamp and fingerprint not like 'c-%' order by time desc limit 1000
