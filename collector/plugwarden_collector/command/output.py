"""What commands print: tables for people, JSON for programs. Text from telemetry is shown, never interpreted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import MISSING, budget, number, percent, times
from plugwarden_collector.wording import escaped_json, harmless, one_line

from .grid import Column, grid

__all__ = ["clean", "clock", "console", "emit_json", "errors", "fail", "paragraph", "prose", "say", "show"]


NUMERIC = {number, percent, duration, budget, times}
"""Formatters whose columns end at one place."""


class _Harmless(Console):
    """Prints text without what a terminal would obey, also where nobody thought of cleaning it."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does it."""
        super().print(*(harmless(item) if isinstance(item, str) else item for item in objects), **options)


console = _Harmless(highlight=False, markup=False, emoji=False)
errors = _Harmless(stderr=True, highlight=False, markup=False, emoji=False)


def clean(value: object) -> str:
    """A value as one line of harmless text; `—` where there is none."""
    if value is None or value == "":
        return MISSING
    if isinstance(value, list):
        return ", ".join(clean(item) for item in value) or MISSING
    if isinstance(value, float):
        return number(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return one_line(value)


def prose(value: object) -> str:
    """Text that may take several lines; everything else stays on one."""
    return clean(value)


def clock(value: object) -> str:
    """A time of the API, to the second."""
    return MISSING if not value else one_line(value)[:19].replace("T", " ")


def paragraph(text: str, *, to: Console = console, indent: int = 0) -> None:
    """Print prose, broken between words; each line begins after `indent` columns."""
    for line in Text(harmless(text)).wrap(to, max(1, to.width - indent)):
        to.print(" " * indent + line.plain.rstrip(), soft_wrap=True)


def say(text: str, *, to: Console = console) -> None:
    """Print a sentence: broken between words at a terminal, and one line for a program."""
    if to.is_terminal:
        paragraph(text, to=to)
    else:
        to.print(text, soft_wrap=True)


def emit_json(value: Any) -> None:
    """One JSON document on stdout; what a terminal would obey is escaped, and so stays true."""
    sys.stdout.write(escaped_json(json.dumps(value, default=str, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def show(
    rows: Iterable[Mapping[str, Any]],
    columns: Mapping[str, tuple[str, Callable[[Any], str]] | str],
    *,
    title: str | None = None,
    empty: str = "nothing to show",
) -> None:
    """Print rows as `grid` lays them out. Columns map a key to a heading, or to a heading and a formatter."""
    rows = list(rows)
    if not rows:
        console.print(empty)
        return
    headings = {key: (item, clean) if isinstance(item, str) else item for key, item in columns.items()}
    kinds = [Column(name, right=form in NUMERIC, prose=form is prose) for name, form in headings.values()]
    texts = [[form(row.get(key)) for key, (_, form) in headings.items()] for row in rows]
    if title is not None:
        console.print(title)
    console.print(grid(kinds, texts, console.width), soft_wrap=True)


def fail(message: str | Iterable[str], code: int = 1) -> NoReturn:
    """Say what went wrong on stderr, each message on a line of its own, and end."""
    for line in [message] if isinstance(message, str) else message:
        errors.print(f"plugwarden: {clean(line)}", soft_wrap=True)
    raise SystemExit(code)
