"""On which line of a rules file something stands: what reads TOML tells what is there, and not where. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

__all__ = ["line_of", "lines_in"]

_PART = r"(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')"
_PATH = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_PATH})\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*({_PATH})\s*=")
_LAST = re.compile(r"(\.[^.\[\]]*|\[\d+\])$")


def lines_in(text: str) -> dict[str, int]:
    """Return the line, from 1 on, of every table and key of a TOML file, by places such as `slo[1].period` or `group.media.owner`."""
    found: dict[str, int] = {}
    last: Counter[str] = Counter()
    arrays: set[str] = set()
    table = ""
    within: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if within is None:
            header, entry = _HEADER.match(line), _KEY.match(line)
            if header is not None:
                table = _table(_parts(header[2]), header[1] == "[[", last, arrays)
                found.setdefault(table, number)
            elif entry is not None:
                found.setdefault(".".join([*([table] if table else []), *_parts(entry[1])]), number)
        within = _open_quotes(line, within)
    return found


def line_of(lines: Mapping[str, int], place: str) -> int | None:
    """Return the line of a place, or of the table that it is missing in; None where neither is found."""
    while place:
        if place in lines:
            return lines[place]
        shorter = _LAST.sub("", place)
        if shorter == place:
            return None
        place = shorter
    return None


def _table(parts: list[str], one_of_many: bool, last: Counter[str], arrays: set[str]) -> str:
    """Return the place of a table with this header; each array above it is at its latest item."""
    place = ""
    for number, part in enumerate(parts, 1):
        place = f"{place}.{part}" if place else part
        if number == len(parts) and one_of_many:
            arrays.add(place)
            last[place] += 1
        if place in arrays:
            place = f"{place}[{last[place] - 1}]"
    return place


def _parts(path: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, path)]


def _open_quotes(line: str, within: str | None) -> str | None:
    """Return the quotes of a text of several lines that is still open at the end of a line."""
    for quotes in re.findall(r"\"\"\"|'''", line):
        if within is None:
            within = quotes
        elif quotes == within:
            within = None
    return within
