"""Where everything is kept. Outside of this folder nobody knows which engine does it."""

from .duckdb.database import Database
from .duckdb.query.stream import Answer, QueryStream, run_query
from .duckdb.statements import Statement, statement
from .duckdb.write.writer import Writer

__all__ = ["Answer", "Database", "QueryStream", "Statement", "Writer", "run_query", "statement"]
