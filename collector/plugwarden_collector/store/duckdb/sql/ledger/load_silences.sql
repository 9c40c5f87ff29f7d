-- Silences in force and to come, the oldest first. Takes: at (timestamp).
from silences where deleted_at is null and ends_at > $at::timestamp order by starts_at
