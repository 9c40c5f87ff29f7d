"""Tables of a rules file as TOML gives them: what each check finds wrong is added to a list of problems that begin with their place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Set
from enum import StrEnum
from typing import Any, TypeVar

from .duration import seconds
from .period import time_zones
from .workable import shown

__all__ = ["choice_at", "duration_at", "given_twice", "nearest", "tables", "time_zone_at", "unknown_keys"]


C = TypeVar("C", bound=StrEnum)


def tables(document: Mapping[str, Any], name: str, problems: list[str]) -> list[tuple[int, Mapping[str, Any]]]:
    value = document.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        problems.append(f"{name}: write each one as a table headed [[{name}]]")
        return []
    return list(enumerate(value))


def unknown_keys(table: Mapping[str, Any], known: Set[str], place: str, problems: list[str]) -> None:
    for key in table:
        if key not in known:
            name = key if re.fullmatch(r"[\w-]+", key) else shown(key)
            problems.append(f"{place}{'.' if place else ''}{name}: unknown{nearest(key, known)}")


def nearest(word: str, known: Collection[str]) -> str:
    """Return the end of a sentence about a word that is not known: the one that is like it, else all that are known."""
    alike = difflib.get_close_matches(word, known, 1)
    if alike:
        return f"; did you mean {alike[0]}?"
    return f"; known are {', '.join(sorted(known))}" if known else "; add it"


def time_zone_at(table: Mapping[str, Any], key: str, place: str, problems: list[str]) -> str | None:
    """Return the name of a time zone of the IANA database; None: what stands there is none, or nothing does."""
    name = table.get(key)
    if isinstance(name, str) and name in time_zones():
        return name
    alike = nearest(name, time_zones()) if isinstance(name, str) else ""
    mend = alike if "did you mean" in alike else '; write for instance "Europe/Berlin" or "UTC"'
    said = "is missing" if name is None else f"{shown(name)} is no time zone of the IANA database"
    problems.append(f"{place}.{key}: {said}{mend}")
    return None


def given_twice(names: Iterable[tuple[str, object]]) -> Iterable[str]:
    """Yield what is wrong with the names in (place, name) pairs: what is said of one table would be done to another of its name."""
    seen: set[str] = set()
    for place, name in names:
        if isinstance(name, str):
            if name in seen:
                yield f"{place}.name: {shown(name)} is given twice; each needs a name of its own"
            seen.add(name)


def choice_at(table: Mapping[str, Any], key: str, default: C, place: str, problems: list[str]) -> C | None:
    """Return which of the words of the default's kind a key says; None where it says none of them."""
    kinds = type(default)
    try:
        return kinds(table.get(key, default))
    except ValueError:
        *others, last = kinds
        problems.append(f"{place}.{key}: {shown(table[key])} must be {', '.join(others)} or {last}")
        return None


def duration_at(table: Mapping[str, Any], key: str, default: object, place: str, problems: list[str]) -> float | None:
    value = table.get(key, default)
    if value is None:
        return None
    try:
        return seconds(value)
    except ValueError as error:
        problems.append(f"{place}.{key}: {error}")
        return None
