-- The latest changes of state of the collector's own conditions, oldest first. Takes: limit.
from (
    select time, fingerprint, name, severity, before, after, reason
    from alert_events
    where fingerprint like 'c-%'
    order by time desc
    limit $limit::bigint
)
order by time
