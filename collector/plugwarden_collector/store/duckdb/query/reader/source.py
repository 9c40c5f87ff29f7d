"""A stable view as a reader process sees it: its rows come from the collector, those columns and rows that are needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa
from duckdb._sources import ArrowScanSource, nodes

__all__ = ["ViewSource"]

_TYPES = re.compile(r"BOOLEAN|U?(?:TINY|SMALL|BIG)INT|U?INTEGER|DOUBLE|VARCHAR|TIMESTAMP|DATE")
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
MAX_TERMS = 500

Fetch = Callable[[str, Sequence[str], Sequence[Any]], pa.RecordBatchReader]
"""View, names of columns, conditions -> its rows."""


class ViewSource(ArrowScanSource):
    """One view. DuckDB asks it which conditions it applies itself, and for its rows once a scan."""

    schema_is_stable = True

    def __init__(self, view: str, schema: pa.Schema, fetch: Fetch) -> None:
        super().__init__(None)
        self.view = view
        self._schema, self._fetch = schema, fetch

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def rows(self) -> int | None:
        """Only reading tells."""
        return None

    def accepts(self, predicate: nodes.Node) -> bool:
        """Whether the collector applies a condition exactly as DuckDB would: it is asked in DuckDB's own terms."""
        return _said(predicate, [MAX_TERMS]) is not None

    def stream(self, columns: Sequence[int] | None, filters: Sequence[nodes.Node]) -> tuple[object, bool]:
        """The rows, and whether they have exactly `columns`."""
        schema = self._schema if columns is None else pa.schema([self._schema.field(index) for index in columns])
        conditions = [_said(item, [MAX_TERMS]) for item in filters]
        reader = self._fetch(self.view, schema.names, conditions)
        if reader.schema != schema:
            reader = reader.cast(schema)  # JSON travels as text
        return reader.__arrow_c_stream__(), columns is not None


def _said(node: nodes.Node, left: list[int]) -> Any:
    """A condition as the collector understands it (scans.py), or None."""
    left[0] -= 1
    if left[0] < 0:
        return None
    match node:
        case nodes.Binary(op="AND" | "OR" as op, left=one, right=other):
            parts = _all(_said(item, left) for item in (one, other))
            return None if parts is None else [op, *parts]
        case nodes.Unary(op="NOT", operand=operand):
            inner = _said(operand, left)
            return None if inner is None else ["NOT", inner]
        case nodes.Postfix(op="IS NULL" | "IS NOT NULL" as op, operand=nodes.Col(parts=(name,))):
            return [op, name]
        case nodes.Binary(op=op, left=nodes.Col(parts=(name,)), right=nodes.Lit() as value) if op in _COMPARISONS:
            text = _text(value)
            return None if text is None else [op, name, value.type, text]
        case nodes.In(operand=nodes.Col(parts=(name,)), values=values) if values:
            texts = _all(_text(item) for item in values if isinstance(item, nodes.Lit))
            left[0] -= len(values)
            if texts is None or len(texts) != len(values) or left[0] < 0:
                return None
            return ["IN", name, values[0].type, texts]  # type: ignore[attr-defined]
    return None


def _all(items: Iterable[Any]) -> list[Any] | None:
    found = list(items)
    return None if any(item is None for item in found) else found


def _text(value: nodes.Lit) -> str | None:
    """A constant as text that DuckDB reads as the same constant."""
    if not _TYPES.fullmatch(value.type) or not nodes.exact_value(value):
        return None
    return repr(value.value) if isinstance(value.value, float) else str(value.value)
