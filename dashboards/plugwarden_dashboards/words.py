"""How pages say things: text that is harmless and names that can be told apart; numbers and durations as everywhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from plugwarden_collector.durations import ago, duration
from plugwarden_collector.figures import MISSING, budget, counted, number, percent, size, times
from plugwarden_collector.wording import HOSTILE, one_line

__all__ = [
    "age", "budget", "count", "counted", "duration", "moment", "named", "option", "percent", "plain", "size", "times",
]  # fmt: skip

_UNSEEN = re.compile(f"[{HOSTILE}⟨]")
_SEEN = re.compile(r"⟨U\+([0-9A-F]{4,6})⟩")


def plain(value: object, limit: int = 500) -> str:
    """One line of text without control or direction characters, for places that do not interpret Markdown."""
    return one_line(value, limit).strip()


def option(name: str) -> str:
    """A name as something to choose: what cannot be seen is spelt out, and no two names look alike."""
    return _UNSEEN.sub(lambda sign: f"⟨U+{ord(sign[0]):04X}⟩", name)


def named(option: str) -> str:
    """The name behind an option."""
    return _SEEN.sub(lambda sign: chr(min(int(sign[1], 16), 0x10FFFF)), option)


def count(amount: float | None) -> str:
    """Return a count or a rate with three significant digits, shortened from ten thousand on; `—` for none."""
    for least, factor, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if amount is not None and abs(amount) >= least:
            return f"{number(amount / factor)} {unit}"
    return number(amount)


def moment(text: str | None) -> str:
    """A time of the API for people, in UTC."""
    return MISSING if not text else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"


def age(text: str | None, at: datetime | None = None) -> str:
    """How long ago a time of the API was."""
    if not text:
        return MISSING
    then = datetime.fromisoformat(text)
    return ago(((at or datetime.now(UTC)) - then).total_seconds())
