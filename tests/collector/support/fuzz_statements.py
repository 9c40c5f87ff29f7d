"""What becomes of a hostile statement, and what it could have changed."""

from __future__ import annotations

from plugwarden_collector.api.render import json_answer
from plugwarden_collector.errors import QueryError, QueryTimeoutError
from plugwarden_collector.store import Database, QueryStream

__all__ = ["ALLOWED", "attempt", "contents"]

ALLOWED = {"answered", "refused", "timed out"}


def attempt(database: Database, sql: str, seconds: float = 0.5) -> str:
    """What became of a statement. Anything but an answer, a refusal or a timeout is raised: it would be a 500."""
    values = {"a": 1} if "$a" in sql else None
    try:
        json_answer(QueryStream(database, sql, values, form="json", limit=20, timeout_seconds=seconds))
    except QueryTimeoutError:
        return "timed out"
    except QueryError as error:
        if "INTERNAL Error" in str(error) or "has been invalidated" in str(error):
            raise AssertionError(f"DuckDB failed inside: {sql!r}: {error}") from error
        return "refused"
    return "answered"


def contents(database: Database) -> dict[str, object]:
    """Everything a statement could have changed: rows, catalog, settings, files beside the database."""
    with database.reading() as cursor:
        tables = [row[0] for row in cursor.execute("select table_name from duckdb_tables() order by all").fetchall()]
        found: dict[str, object] = {
            name: cursor.execute(f'select count(*), bit_xor(hash(t)) from "{name}" t').fetchall() for name in tables
        }
        for what in (
            "tables",
            "views",
            "sequences",
            "schemas",
            "types",
            "databases",
            "functions",
            "variables",
        ):
            found["all " + what] = cursor.execute(f"select count(*) from duckdb_{what}()").fetchall()
        found["settings"] = cursor.execute("select name, value from duckdb_settings() order by all").fetchall()
    found["files"] = sorted(item.name for item in database.path.parent.iterdir())
    return found
