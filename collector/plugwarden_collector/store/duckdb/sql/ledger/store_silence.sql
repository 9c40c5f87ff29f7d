-- Keep a silence, or one that was moved in time. Takes: id, matchers (JSON), starts_at, ends_at (timestamp), created_by, comment.
insert or replace into silences values (
    $id::varchar, $matchers::json, $starts_at::timestamp, $ends_at::timestamp, $created_by::varchar, $comment::varchar, null
)
