-- The decision log, newest first. Takes: before (a sequence), limit.
-- The sum keeps DuckDB from taking row groups by their statistics, which count deleted rows too (see store/duckdb/ledger/chain.py).
from decisions where sequence < $before order by sequence + 0 desc limit $limit
