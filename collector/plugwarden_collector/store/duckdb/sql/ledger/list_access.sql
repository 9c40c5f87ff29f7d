-- The access log, newest first. Takes: before (a sequence), limit.
-- The sum keeps DuckDB from taking row groups by their statistics, which count deleted rows too (see store/duckdb/ledger/chain.py).
from access_log where sequence < $before order by sequence + 0 desc limit $limit
