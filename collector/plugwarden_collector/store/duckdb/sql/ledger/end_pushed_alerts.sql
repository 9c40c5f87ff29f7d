-- Alerts that are no longer pushed are over. Takes: fingerprints (varchar[]), ended (timestamp[], of each), at (timestamp).
update alerts
set state = 'inactive', resolved_at = gone.ended, changed_at = $at::timestamp
from (select unnest($fingerprints::varchar[]) as fingerprint, unnest($ended::timestamp[]) as ended) as gone
where alerts.fingerprint = gone.fingerprint and alerts.source = 'prometheus'
