-- Keep alerts that others pushed, all in one statement. Takes: one list a column, each with one entry an alert, no fingerprint twice:
-- fingerprints, names, severities, states, plugins, versions, labels (JSON), summaries, descriptions, details (JSON) (varchar[]),
-- started, resolved, changed (timestamp[]).
insert or replace into alerts (
    fingerprint, name, severity, state, plugin_id, plugin_version, labels, summary, description, pending_at, firing_at, resolved_at,
    changed_at, source, detail
)
select
    unnest($fingerprints::varchar[]), unnest($names::varchar[]), unnest($severities::varchar[]), unnest($states::varchar[]),
    unnest($plugins::varchar[]), unnest($versions::varchar[]), unnest($labels::varchar[])::json, unnest($summaries::varchar[]),
    unnest($descriptions::varchar[]), unnest($started::timestamp[]), unnest($started::timestamp[]), unnest($resolved::timestamp[]),
    unnest($changed::timestamp[]), 'prometheus', unnest($details::varchar[])::json
