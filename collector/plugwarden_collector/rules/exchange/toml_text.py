"""Objectives as a rules file in TOML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import BUILT_IN

from .tables import slo_table, windows_table

__all__ = ["toml_text"]


def toml_text(objectives: Iterable[Objective]) -> str:
    """Return a rules file with objectives and the windows that they name, and nothing else."""
    held = list(objectives)
    tables = {item.burn_windows.name: item.burn_windows for item in held if item.burn_windows.name not in BUILT_IN}
    parts = [("windows", windows_table(table)) for table in tables.values()] + [
        ("slo", slo_table(item)) for item in held
    ]
    return "\n".join("\n".join(_lines(header, table)) + "\n" for header, table in parts)


def _lines(header: str, table: Mapping[str, Any]) -> Iterator[str]:
    yield f"[[{header}]]"
    inner = {
        key: value for key, value in table.items() if isinstance(value, list) and value and isinstance(value[0], dict)
    }
    for key, value in table.items():
        if key not in inner:
            yield f"{key} = {_value(value)}"
    for key, rows in inner.items():
        for row in rows:
            yield ""
            yield from _lines(f"{header}.{key}", row)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
