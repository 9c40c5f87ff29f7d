-- Move a silence in time. Takes: id, starts_at, ends_at (timestamp).
update silences set starts_at = $starts_at::timestamp, ends_at = $ends_at::timestamp where id = $id::varchar
