"""A first look at columns of texts: in which rows there may be anything to mask.

A column is one piece of memory, and is searched as one: where RE2 stops, the row is looked at by itself, and the search goes on at the
next. It has made its expressions once, for all requests; Arrow's own makes them anew for each column, which took longer than decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import re2  # type: ignore[import-untyped]
from plugwarden.redaction.screen import SCREEN

__all__ = ["suspects"]


def suspects(columns: Mapping[str, pa.Array]) -> dict[str, Any]:
    """Return, of each column of strings, the rows (int64, in order) in which anything may be masked; columns without any are left out."""
    found = {name: np.fromiter(_rows(column), np.int64) for name, column in columns.items()}
    return {name: rows for name, rows in found.items() if len(rows)}


def _rows(column: pa.Array) -> Iterator[int]:
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    end = int(offsets[-1])
    data = memoryview(column.buffers()[2] or b"")
    # Where each expression stands first from here on: each goes over the memory once.
    at = [_place(search, data, int(offsets[0]), end) for search, _ in _expressions()]
    while (place := min(at)) < end:
        row = int(np.searchsorted(offsets, place, "right")) - 1
        following = int(offsets[row + 1])
        # Side by side rows have no border between them, so the search knows none; here they are.
        if any(exact.search(data[offsets[row] : following]) for _, exact in _expressions()):
            yield row
        for number, (search, _) in enumerate(_expressions()):
            if at[number] < following:
                at[number] = _place(search, data, following, end)


def _place(expression: Any, data: memoryview, start: int, end: int) -> int:
    found = expression.search(data, start, end)
    return end if found is None else int(found.start())


@cache
def _expressions() -> tuple[tuple[Any, Any], ...]:
    options = re2.Options()
    options.never_capture = True
    return tuple((re2.compile(one.replace(r"\b", ""), options), re2.compile(one, options)) for one in SCREEN)
