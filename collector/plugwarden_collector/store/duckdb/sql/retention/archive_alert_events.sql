-- Changes of alerts from before a moment. Takes: before (timestamp).
select * from alert_events where time < $before::timestamp
