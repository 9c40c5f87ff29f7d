-- Pushed alerts that are kept. Gives: fingerprint, state, firing_at, resolved_at, ends_at (where it ends though nobody says so).
select
    fingerprint, state, coalesce(firing_at, changed_at) as firing_at, resolved_at, try_cast(detail ->> '$.ends_at' as timestamp) as ends_at
from alerts where source = 'prometheus'
