-- Keep an acknowledgement, or one that was moved in time. Takes: id, subject, made_at, ends_at (timestamp), created_by, reason.
insert or replace into acknowledgements (id, subject, made_at, ends_at, created_by, reason) values (
    $id::varchar, $subject::varchar, $made_at::timestamp, $ends_at::timestamp, $created_by::varchar, $reason::varchar
)
