-- The decision log in order, to verify its hashes.
from decisions order by sequence
