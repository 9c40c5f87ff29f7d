"""Tables of a rules file as TOML gives them: what each check finds wrong is added to a list of problems that begin with their place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .duration import seconds
from .workable import shown

__all__ = ["duration_at", "given_twice", "tables", "unknown_keys"]


def tables(document: Mapping[str, Any], name: str, problems: list[str]) -> list[tuple[int, Mapping[str, Any]]]:
    value = document.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        problems.append(f"{name}: write each one as a table headed [[{name}]]")
        return []
    return list(enumerate(value))


def unknown_keys(table: Mapping[str, Any], known: set[str], place: str, problems: list[str]) -> None:
    for key in table:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {nearest[0]}?" if nearest else f"; known are {', '.join(sorted(known))}"
            name = key if re.fullmatch(r"[\w-]+", key) else shown(key)
            problems.append(f"{place}{'.' if place else ''}{name}: unknown{hint}")


def given_twice(document: Mapping[str, Any], table: str) -> Iterable[str]:
    """Names that two tables of a kind have: what is said of the one would be done to the other."""
    items = document.get(table)
    names = [item.get("name") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    texts = [name for name in names if isinstance(name, str)]
    return [
        f"{table}.name: {shown(name)} is given twice; each needs a name of its own"
        for name in sorted({name for name in texts if texts.count(name) > 1})
    ]


def duration_at(table: Mapping[str, Any], key: str, default: object, place: str, problems: list[str]) -> float | None:
    value = table.get(key, default)
    if value is None:
        return None
    try:
        return seconds(value)
    except ValueError as error:
        problems.append(f"{place}.{key}: {error}")
        return None
