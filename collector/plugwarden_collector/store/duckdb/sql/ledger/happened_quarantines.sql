-- What was isolated or suggested from a moment on, the oldest first. Takes: since (timestamp).
from quarantines where started_at >= $since::timestamp order by started_at, id
