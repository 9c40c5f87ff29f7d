"""Where everything is kept. Outside of this folder nobody knows which engine does it."""

from .duckdb.database import Database
from .duckdb.query.reader.child import serve as serve_reader
from .duckdb.query.stream import Answer, QueryStream, run_query
from .duckdb.statements import Statement, statement
from .duckdb.telemetry import stored_telemetry, telemetry_of
from .duckdb.write.writer import Writer
from .telemetry import Telemetry

__all__ = [
    "Answer",
    "Database",
    "QueryStream",
    "Statement",
    "Telemetry",
    "Writer",
    "run_query",
    "serve_reader",
    "statement",
    "stored_telemetry",
    "telemetry_of",
]
