"""Where everything is kept. Outside of this folder nobody knows which engine does it."""

from .duckdb.database import Database
from .duckdb.ledger.ledger import DuckdbLedger as open_ledger
from .duckdb.ledger.ledger import kept_time
from .duckdb.query.reader.child import serve as serve_reader
from .duckdb.query.stream import Answer, QueryStream, run_query
from .duckdb.statements import Statement, statement
from .duckdb.telemetry import stored_telemetry, telemetry_of
from .duckdb.write.writer import Writer
from .ledger import Audit, Ledger
from .notes import Notes, run_notes
from .telemetry import Telemetry

__all__ = [
    "Answer",
    "Audit",
    "Database",
    "Ledger",
    "Notes",
    "QueryStream",
    "Statement",
    "Telemetry",
    "Writer",
    "kept_time",
    "open_ledger",
    "run_notes",
    "run_query",
    "serve_reader",
    "statement",
    "stored_telemetry",
    "telemetry_of",
]
