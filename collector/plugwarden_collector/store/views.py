"""The stable views that users may build on: names, columns, types and meaning, from `views.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["Column", "View", "stable_views"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a stable view."""

    name: str
    type: str
    """As DuckDB's DESCRIBE writes it."""
    null: str
    """When it is null; empty: never."""
    text: str
    """Unit and meaning, in one sentence."""


@dataclass(frozen=True, slots=True)
class View:
    """One stable view."""

    name: str
    text: str
    """What one row is."""
    columns: tuple[Column, ...]


@cache
def stable_views() -> Mapping[str, View]:
    """Every view by its name, in the order of the reference."""
    text = resources.files(__package__).joinpath("views.toml").read_text("utf-8")
    found = {}
    for name, view in tomllib.loads(text).items():
        columns = tuple(Column(key, *(str(part) for part in parts)) for key, parts in view["columns"].items())
        found[name] = View(name, view["text"], columns)
    return found
