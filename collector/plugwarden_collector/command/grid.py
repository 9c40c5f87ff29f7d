"""Rows of text that fit a width: a table, or one record below the other where a table would cut or break what stands in it. The same
rows give the same text, so that it can be compared and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len, chop_cells

__all__ = ["Column", "grid", "wrapped"]

GAP = "  "
LEAST_PROSE = 24
"""Cells: sentences in a narrower column are a word a line (judged by eye)."""


@dataclass(frozen=True, slots=True)
class Column:
    """What stands in a column."""

    heading: str
    """One line."""
    right: bool = False
    """Whether its values end at one place, as numbers do."""
    prose: bool = False
    """Whether its values may take several lines."""


def grid(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int = 80) -> str:
    """Return the text, with lines of at most `width` cells; a word that is longer than a line is broken, and nothing is left out.

    Each value is one line of harmless text.
    """
    widths = _widths(columns, rows, width)
    if widths is None:
        return "\n\n".join(_record(columns, row, width) for row in rows)
    heads = [column.heading for column in columns]
    lines = [*_lines(columns, heads, widths), GAP.join("-" * size for size in widths)]
    return "\n".join([*lines, *(line for row in rows for line in _lines(columns, row, widths))])


def wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text that is broken between words, and within those alone that are longer than `width` cells."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
        else:
            *whole, last = chop_cells(word, max(1, width)) or [""]
            lines += [*whole, last]
    return [line for line in lines if line] or [""]


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return how wide each column of a table is; None where it would not fit."""
    found = [max(map(cell_len, (column.heading, *cells))) for column, *cells in zip(columns, *rows, strict=True)]
    room = width - len(GAP) * (len(columns) - 1)
    if sum(found) <= room or not rows:
        return found
    long = [index for index, column in enumerate(columns) if column.prose and found[index] > LEAST_PROSE]
    spare = room - sum(size for index, size in enumerate(found) if index not in long)
    for left, index in zip(range(len(long), 0, -1), sorted(long, key=found.__getitem__), strict=True):
        size = min(found[index], spare // left)
        words = (cell_len(word) for row in rows for word in row[index].split(" "))
        if size < max(LEAST_PROSE, *words):
            return None
        found[index] = size
        spare -= size
    return found if spare >= 0 else None


def _lines(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = [
        wrapped(text, size) if column.prose else [text] for column, text, size in zip(columns, row, widths, strict=True)
    ]
    return [GAP.join(map(_padded, columns, parts, widths)).rstrip() for parts in zip_longest(*cells, fillvalue="")]


def _padded(column: Column, text: str, size: int) -> str:
    padding = " " * (size - cell_len(text))
    return padding + text if column.right else text + padding


def _record(columns: Sequence[Column], row: Sequence[str], width: int) -> str:
    margin = min(max(cell_len(column.heading) for column in columns) + len(GAP), width // 2)
    lines = []
    for column, text in zip(columns, row, strict=True):
        heads, values = wrapped(column.heading, margin - len(GAP)), wrapped(text, width - margin)
        for head, value in zip_longest(heads, values, fillvalue=""):
            lines.append((head + " " * (margin - cell_len(head)) + value).rstrip())
    return "\n".join(lines)
