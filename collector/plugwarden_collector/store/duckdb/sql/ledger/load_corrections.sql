-- Corrections that no person took back and that ended after a moment, the oldest first. Takes: since (timestamp).
from corrections where withdrawn_at is null and ends_at > $since::timestamp order by created_at, id
