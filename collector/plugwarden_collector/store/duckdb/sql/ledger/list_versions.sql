-- When each plugin version was first seen, of those that are told apart: there may have been any number in a year.
-- Gives: plugin_id, plugin_version, first.
select plugin_id, plugin_version, min(time) as first
from changes
where
    kind = 'deployment' and exists (
        from known_names as k where k.plugin_id = changes.plugin_id and k.plugin_version = changes.plugin_version
    )
group by all
