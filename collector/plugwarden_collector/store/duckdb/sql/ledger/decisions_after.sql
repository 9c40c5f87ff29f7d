-- The decision log, oldest first. Takes: after (a sequence), limit.
-- The sum keeps DuckDB from taking row groups by their statistics, which count deleted rows too (see store/duckdb/ledger/chain.py).
from decisions where sequence > $after order by sequence + 0 limit $limit
