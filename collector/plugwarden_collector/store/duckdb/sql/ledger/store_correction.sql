-- Keep a correction as it is now. Takes: id, plugins, objectives, owners, starts_at, ends_at (timestamp), reason, created_by,
-- created_at, withdrawn_at (timestamp, null while it is in force).
insert or replace into corrections values (
    $id::varchar, $plugins::varchar, $objectives::varchar, $owners::varchar, $starts_at::timestamp, $ends_at::timestamp,
    $reason::varchar, $created_by::varchar, $created_at::timestamp, $withdrawn_at::timestamp
)
