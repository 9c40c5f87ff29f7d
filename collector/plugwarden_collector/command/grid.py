"""Rows as text that fits a width: a grid, or one column under the other where a grid cannot fit. The same rows give the
same text, so that it can be compared and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.cells import cell_len, set_cell_size

from .output import clean

__all__ = ["grid"]

GAP = "  "
LEAST = 8
"""Narrower than this a cut value says nothing; then every row becomes a list."""


def grid(names: Sequence[str], rows: Sequence[Sequence[Any]], width: int = 80) -> str:
    """The text, with lines of at most `width` cells; `…` where a value was cut."""
    heads = [clean(name) for name in names]
    texts = [[_text(value) for value in row] for row in rows]
    natural = [
        max([cell_len(heads[index]), *(cell_len(row[index]) for row in texts)], default=0)
        for index in range(len(heads))
    ]
    widths = _fit(natural, width - len(GAP) * (len(heads) - 1))
    if widths is None:
        return _lists(heads, texts, width)
    right = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(heads))]
    lines = [_line(heads, widths, right), GAP.join("-" * size for size in widths)]
    lines += [_line(row, widths, right) for row in texts]
    return "\n".join(lines)


def _fit(natural: Sequence[int], room: int) -> list[int] | None:
    """Widths that add up to the room: the widest columns give way first; None when they cannot."""
    if sum(min(size, LEAST) for size in natural) > room:
        return None
    if sum(natural) <= room:
        return list(natural)
    cap = max(natural)
    while sum(min(size, cap) for size in natural) > room:
        cap -= 1
    widths = [min(size, cap) for size in natural]
    spare = room - sum(widths)
    for index, size in enumerate(natural):
        if spare and widths[index] < size:
            widths[index] += 1
            spare -= 1
    return widths


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for text, size, numeric in zip(cells, widths, right, strict=True):
        shown = _cut(text, size)
        padding = " " * (size - cell_len(shown))
        parts.append(padding + shown if numeric else shown + padding)
    return GAP.join(parts).rstrip()


def _lists(heads: Sequence[str], texts: Sequence[Sequence[str]], width: int) -> str:
    margin = min(max((cell_len(head) for head in heads), default=0), width // 2)
    lines = []
    for number, row in enumerate(texts, 1):
        lines.append(f"-- row {number} --")
        for head, text in zip(heads, row, strict=True):
            shown = _cut(head, margin)
            lines.append(_cut(shown + " " * (margin - cell_len(shown)) + GAP + text, width).rstrip())
    return "\n".join(lines) if lines else GAP.join(heads)[:width]


def _cut(text: str, size: int) -> str:
    if cell_len(text) <= size:
        return text
    return set_cell_size(text, size - 1).rstrip() + "…" if size > 1 else "…"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, list | dict):
        return clean(json.dumps(value, default=str, ensure_ascii=False)) if value else "—"
    return clean(value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))
