"""The keys that say what an objective is to people: display name, description, owner, runbook, labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .workable import name_problem, shown

__all__ = ["ABOUT_KEYS", "about_in"]

_TEXTS = ("display_name", "description", "owner", "runbook")
ABOUT_KEYS = frozenset({*_TEXTS, "labels"})
MAX_TEXT = 4096
"""Characters of a description or a runbook; OpenSLO allows 1050 in a description."""
MAX_LABELS = 32
"""Labels of an objective: Prometheus keeps each with every series."""
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""Source: Prometheus, "Metric names and labels"."""
RESERVED = frozenset({"alertname", "le", "owner", "plugin_id", "severity"})
"""Names that rules and alerts give another meaning."""


def about_in(table: Mapping[str, Any], place: str, problems: list[str]) -> dict[str, Any]:
    """Return the values of those keys that a table has, in the fields of `Objective`."""
    found: dict[str, Any] = {}
    for key in _TEXTS:
        value = table.get(key)
        if value is None:
            continue
        wrong = name_problem(value) if key in ("display_name", "owner") else _text_problem(value)
        if wrong is None:
            found[key] = value
        else:
            problems.append(f"{place}.{key}: {wrong}")
    labels = table.get("labels")
    if labels is not None:
        before = len(problems)
        problems += [f"{place}.labels{key}: {wrong}" for key, wrong in _label_problems(labels)]
        if len(problems) == before:
            found["labels"] = dict(labels)
    return found


def _text_problem(value: object) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return f"{shown(value)} must be a non-empty string"
    if len(value) > MAX_TEXT:
        return f"has {len(value)} characters; shorten it to {MAX_TEXT}, or give an address"
    if not all(sign.isprintable() or sign in "\n\t" for sign in value):
        return f"{shown(value)} holds characters that cannot be seen; leave them out"
    return None


def _label_problems(labels: object) -> list[tuple[str, str]]:
    if not isinstance(labels, dict):
        return [("", f'{shown(labels)} must be a table of texts, such as {{ tier = "2" }}')]
    if len(labels) > MAX_LABELS:
        return [("", f"has {len(labels)} labels; {MAX_LABELS} are the most that an objective may have")]
    return [(f".{_name(key)}", wrong) for key, value in labels.items() if (wrong := _label_problem(key, value))]


def _label_problem(key: str, value: object) -> str | None:
    if not _LABEL.fullmatch(key):
        return "is no label's name; write letters, digits and _ alone, with no digit first"
    if key in RESERVED or key.startswith(("__", "sloth_")):
        return "has a meaning of its own; write " + ("the key owner" if key == "owner" else "another name")
    return name_problem(value)


def _name(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key) else shown(key)
