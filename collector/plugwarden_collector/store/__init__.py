"""The only place that knows DuckDB: schema, migrations, SQL, the writer, readers and retention."""

from .database import Database
from .query import Answer, QueryStream, run_query
from .statements import Statement, statement
from .writer import Writer

__all__ = ["Answer", "Database", "QueryStream", "Statement", "Writer", "run_query", "statement"]
