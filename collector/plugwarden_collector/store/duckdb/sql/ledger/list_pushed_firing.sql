-- Pushed alerts that fire, the oldest first. Gives: fingerprint, labels (JSON), firing_at, summary.
select fingerprint, labels::varchar as labels, coalesce(firing_at, changed_at) as firing_at, summary
from alerts
where source = 'prometheus' and state = 'firing'
order by coalesce(firing_at, changed_at), fingerprint
