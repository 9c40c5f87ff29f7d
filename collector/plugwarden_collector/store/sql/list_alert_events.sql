-- The history of alerts, newest first. Takes: since (timestamp).
from alert_events where time > $since::timestamp order by time desc limit 1000
