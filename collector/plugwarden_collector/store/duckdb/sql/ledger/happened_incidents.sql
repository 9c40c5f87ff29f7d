-- Common causes found from a moment on, the oldest first. Takes: since (timestamp).
from incidents where started_at >= $since::timestamp order by started_at, id
