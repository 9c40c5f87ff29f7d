-- An acknowledgement is over, for another took its place. Takes: id, at (timestamp).
update acknowledgements set deleted_at = $at::timestamp where id = $id::varchar
