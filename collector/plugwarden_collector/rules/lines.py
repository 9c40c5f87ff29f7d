"""On which line of a rules file something stands: what reads TOML tells what is there, and not where. Pure."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["line_of"]

_HEADER = re.compile(r"\s*(\[\[?)\s*\"?([\w-]+)\"?\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([\"']?)([\w-]+)\1\s*=")


def line_of(text: str, place: str) -> int | None:
    """Return the line of a place such as `slo[1].period` or `policy.hold`, from 1 on; that of its table where the key is not there, and
    None where neither is found."""
    table, _, key = place.rpartition(".")
    seen: Counter[str] = Counter()
    current, heading = "", None
    for number, line in enumerate(text.splitlines(), 1):
        header, entry = _HEADER.match(line), _KEY.match(line)
        if header is not None:
            name = header[2]
            current = f"{name}[{seen[name]}]" if header[1] == "[[" else name
            seen[name] += 1
            if current in (table, place):
                heading = number
        elif entry is not None and key == entry[2] and current == table:
            return number
    return heading
