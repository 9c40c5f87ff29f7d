-- Pushed alerts that are kept. Gives: fingerprint, state, firing_at, resolved_at.
select fingerprint, state, coalesce(firing_at, changed_at) as firing_at, resolved_at from alerts where source = 'prometheus'
