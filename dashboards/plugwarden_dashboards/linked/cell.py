"""One place of a table or a line: text, and what it is beside that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from plugwarden_collector.figures import MISSING
from plugwarden_collector.wording import one_line

__all__ = ["Cell", "Said", "Tone", "as_data", "rounded"]

Tone = Literal["good", "warn", "bad", "held", "probe", "none"]
"""Colour of a badge, a tile, a card or a notice; beside it always stands a word."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Text with a link, a colour, a value to sort by, a trend or a share."""

    text: str = ""
    href: str | None = None
    """Address of one of our own pages."""
    tone: Tone | None = None
    value: float | str | None = None
    """What a table sorts by in place of the text. What has none and says `—` or nothing comes last in both directions."""
    note: str = ""
    """Said when the pointer rests on it."""
    trend: Sequence[float] | None = None
    """Values of a small line, from zero, in equal steps of time; drawn in place of the text."""
    share: float | None = None
    """Part of a bar that is full, 0 to 1; drawn before the text."""
    strong: bool = False
    mono: bool = False
    """An identity that is read sign by sign."""


Said = Cell | str | Sequence[Cell]
"""A cell, a text alone, or several cells in one place."""

MOST_TEXT = 500
"""Characters of a cell that are shown; a sentence of ours has fewer."""
NOTHING = frozenset({"", MISSING})
"""Texts of what is not known: they stand for no value."""


def as_data(said: Said) -> Any:
    """Return a cell as the browser takes it: plain text as a string, else an object without what is not set; what says nothing has the
    value None."""
    if isinstance(said, str):
        said = Cell(said)
    if not isinstance(said, Cell):
        return {"parts": [as_data(part) for part in said]}
    data: dict[str, Any] = {"text": _text(said.text)}
    if said.href:
        data["href"] = said.href
    if said.tone:
        data["tone"] = said.tone
    value = _value(said.value)
    if value is not None or said.text in NOTHING:
        data["value"] = value
    if said.note:
        data["note"] = _text(said.note)
    if said.share is not None:
        data["share"] = round(said.share, 3)
    if said.strong:
        data["strong"] = True
    if said.mono:
        data["mono"] = True
    if said.trend is not None:
        data["trend"] = rounded(said.trend)
    return data if len(data) > 1 else data["text"]


def _value(value: float | str | None) -> float | str | None:
    """Return a value as JSON can hold it; None for what is no value."""
    if isinstance(value, str):
        return value or None
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def rounded(values: Sequence[float]) -> list[float]:
    """Return the points of a trend as exactly as its few pixels show them."""
    return [float(f"{value:.3g}") for value in values]


def _text(text: str) -> str:
    # Nearly all of a page's ten thousand texts are of this kind, and need no search for what is hostile.
    return text if text.isascii() and text.isprintable() and len(text) <= MOST_TEXT else one_line(text, MOST_TEXT)
