-- Forget rows of alert_events beyond their age. Takes: before (timestamp).
delete from alert_events where time < $before::timestamp
