-- Keep a silence, or one that was extended or moved in time. Takes: id, matchers (JSON), starts_at, ends_at (timestamp), created_by,
-- comment, owner.
insert or replace into silences (id, matchers, starts_at, ends_at, created_by, comment, owner) values (
    $id::varchar, $matchers::json, $starts_at::timestamp, $ends_at::timestamp, $created_by::varchar, $comment::varchar,
    $owner::varchar
)
