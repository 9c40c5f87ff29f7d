-- The access log in order, to verify its hashes.
from access_log order by sequence
