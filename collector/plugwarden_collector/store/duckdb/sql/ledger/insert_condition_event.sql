-- Record that a condition of the collector itself changed state: a row of alert_events without a plugin.
-- Takes: time, fingerprint, name, severity, before, after, reason.
insert into alert_events
select
    $time::timestamp, $fingerprint::varchar, $name::varchar, $severity::varchar, null, null,
    $before::varchar, $after::varchar, $reason::varchar
