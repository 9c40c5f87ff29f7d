-- Take a silence back. Takes: id, at (timestamp).
update silences set deleted_at = $at::timestamp where id = $id::varchar
