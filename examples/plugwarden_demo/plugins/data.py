"""Plugins for tables and JSON: jsonschema, pandas, DuckDB."""

from __future__ import annotations

import io
import json

import duckdb
import pandas as pd
from jsonschema import Draft202012Validator

from ..corpus import Document
from ..hooks import hookimpl

__all__ = ["Profile", "Schema", "Table"]


def _frame(document: Document) -> pd.DataFrame:
    if document.suffix == ".csv":
        return pd.read_csv(io.BytesIO(document.data), skipinitialspace=True)
    loaded = json.loads(document.data)
    rows = loaded if isinstance(loaded, list) else [loaded]
    return pd.json_normalize([row for row in rows if isinstance(row, dict)][:200], max_level=1)


class Schema:
    """Checks that JSON documents are what this host calls a document."""

    name, version = "schema", "1.2.0"

    def __init__(self) -> None:
        self._validator = Draft202012Validator(
            {
                "anyOf": [
                    {"type": "object", "minProperties": 1},
                    {"type": "array", "items": {"type": ["object", "string"]}},
                ]
            }
        )

    @hookimpl
    def on_data(self, document: Document) -> bytes | None:
        """The first few problems, if any."""
        if document.suffix != ".json":
            return None
        problems = [error.message[:200] for error in self._validator.iter_errors(json.loads(document.data))]
        return json.dumps(problems[:5]).encode()


class Profile:
    """Describes every column."""

    name, version = "profile", "0.9.4"

    @hookimpl
    def on_data(self, document: Document) -> bytes:
        """A summary as JSON."""
        frame = _frame(document).astype(str)
        return str(frame.describe(include="all").to_json()).encode()


class Table:
    """Counts values with SQL."""

    name, version = "table", "2.0.3"

    @hookimpl
    def on_data(self, document: Document) -> bytes:
        """Rows and distinct values of the first column."""
        frame = _frame(document).astype(str)
        if frame.columns.empty:
            return b"[]"
        first = pd.DataFrame({"value": frame.iloc[:, 0]})
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.register("incoming", first)
            rows = connection.execute("select count(*), count(distinct value) from incoming").fetchall()
        return json.dumps(rows).encode()
