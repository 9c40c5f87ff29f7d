-- Acknowledgements that hold, the oldest first. Takes: at (timestamp). Gives: id, subject, made_at, ends_at, created_by, reason.
select id, subject, made_at, ends_at, created_by, reason
from acknowledgements where deleted_at is null and ends_at > $at::timestamp order by made_at
