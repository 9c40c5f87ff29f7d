-- The decision log, newest first. Takes: limit.
from decisions order by sequence desc limit $limit
