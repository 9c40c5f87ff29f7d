-- Move the revision of the ledger on, where it is the one that somebody decided on. Takes: key, expected, following.
-- Gives: value (no row: it is another one, or there was none yet).
update meta set value = $following::varchar where key = $key::varchar and value = $expected::varchar returning value
