"""How things are said: states, numbers, durations. Text from telemetry is hostile and is escaped here."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from plugwarden_collector.wording import HOSTILE, one_line

__all__ = [
    "STATES", "age", "burn", "count", "duration", "md", "moment", "named", "option", "percent", "plain", "size", "state",
]  # fmt: skip

STATES = {
    "healthy": "● healthy",
    "degraded": "▲ degraded",
    "quarantined": "■ quarantined",
    "probation": "◐ probation",
    "firing": "■ firing",
    "pending": "▲ pending",
    "inactive": "● resolved",
}
"""Never colour alone: a sign and a word (WCAG 1.4.1)."""

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


def md(value: object, limit: int = 500) -> str:
    """The same for places that interpret Markdown: every sign becomes an entity, and nothing becomes a link.

    A word joiner after signs that Streamlit replaces (`:icon:`, `->`) or links (`@`, `www.`) keeps them apart.
    """
    text = re.sub(r"(?i)www(?=\.)", "www\u2060", plain(value, limit))
    return re.sub(r"[^\w\s]|_", lambda sign: f"&#{ord(sign[0])};" + ("\u2060" if sign[0] in ":@-<>=~" else ""), text)


def state(word: str) -> str:
    """A state's sign and word."""
    return STATES.get(word, f"○ {plain(word)}")


def duration(seconds: float | None) -> str:
    """In the unit that suits it, three significant digits."""
    if seconds is None or seconds != seconds:
        return "—"
    for size, unit, factor in ((1e-3, "µs", 1e6), (1.0, "ms", 1e3), (60.0, "s", 1.0), (3600.0, "min", 1 / 60)):
        if abs(seconds) < size:
            return f"{seconds * factor:.3g} {unit}"
    if abs(seconds) < 172_800:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 86_400:.3g} d"


def percent(ratio: float | None, digits: int = 3) -> str:
    """A ratio as a percentage; never 0 % for something above it."""
    if ratio is None or ratio != ratio:
        return "—"
    if 0 < ratio < 0.0001:
        return "<0.01 %"
    if 0.999 < ratio < 1:
        return f"{ratio * 100:.4g} %"
    return f"{ratio * 100:.{digits}g} %"


def burn(rate: float | None) -> str:
    """A burn rate."""
    return "—" if rate is None or rate != rate else f"{rate:.3g}×"


def count(number: float | None) -> str:
    """A count or a rate, shortened from ten thousand on."""
    if number is None or number != number:
        return "—"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if unit == 'k' else size):.3g} {unit}"
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


def size(number: float | None) -> str:
    """Bytes, in powers of 1024."""
    if number is None or number != number:
        return "—"
    for limit, unit in ((2**10, "B"), (2**20, "KiB"), (2**30, "MiB"), (2**40, "GiB")):
        if abs(number) < limit:
            return f"{number / (limit / 2**10):.3g} {unit}"
    return f"{number / 2**40:.3g} TiB"


def moment(text: str | None) -> str:
    """A time of the API for people, in UTC."""
    return "—" if not text else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"


def age(text: str | None, at: datetime | None = None) -> str:
    """How long ago a time of the API was."""
    if not text:
        return "—"
    then = datetime.fromisoformat(text)
    return f"{duration(max(0.0, ((at or datetime.now(UTC)) - then).total_seconds()))} ago"
