"""Where everything is kept. Outside of this folder nobody knows which engine does it.

The names below are loaded when they are first asked for: whoever needs a value of the store's does not load its engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answer import Answer
    from .duckdb.database import Database
    from .duckdb.ledger.ledger import DuckdbLedger as open_ledger
    from .duckdb.ledger.ledger import kept_time
    from .duckdb.query.reader.child import serve as serve_reader
    from .duckdb.query.stream import QueryStream, run_query
    from .duckdb.statements import Statement, statement
    from .duckdb.telemetry import empty_telemetry, stored_telemetry, telemetry_of
    from .duckdb.write.writer import Writer
    from .ledger import Audit, Ledger
    from .notes import Notes, run_notes
    from .spare import SpareLog
    from .telemetry import Telemetry

__all__ = [
    "Answer",
    "Audit",
    "Database",
    "Ledger",
    "Notes",
    "QueryStream",
    "SpareLog",
    "Statement",
    "Telemetry",
    "Writer",
    "empty_telemetry",
    "kept_time",
    "open_ledger",
    "run_notes",
    "run_query",
    "serve_reader",
    "statement",
    "stored_telemetry",
    "telemetry_of",
]
_HOMES = {
    "Answer": "answer.Answer",
    "Audit": "ledger.Audit",
    "Database": "duckdb.database.Database",
    "Ledger": "ledger.Ledger",
    "Notes": "notes.Notes",
    "QueryStream": "duckdb.query.stream.QueryStream",
    "SpareLog": "spare.SpareLog",
    "Statement": "duckdb.statements.Statement",
    "Telemetry": "telemetry.Telemetry",
    "Writer": "duckdb.write.writer.Writer",
    "empty_telemetry": "duckdb.telemetry.empty_telemetry",
    "kept_time": "duckdb.ledger.ledger.kept_time",
    "open_ledger": "duckdb.ledger.ledger.DuckdbLedger",
    "run_notes": "notes.run_notes",
    "run_query": "duckdb.query.stream.run_query",
    "serve_reader": "duckdb.query.reader.child.serve",
    "statement": "duckdb.statements.statement",
    "stored_telemetry": "duckdb.telemetry.stored_telemetry",
    "telemetry_of": "duckdb.telemetry.telemetry_of",
}
"""Where each name stands, below this folder."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, kept = _HOMES[name].rpartition(".")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), kept)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
