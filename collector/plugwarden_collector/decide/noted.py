"""What was said of a trouble already, as text: a collector that starts again does not say it again. Pure; time is an argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

__all__ = ["SUSPECTED", "NotedKey", "kept", "resumed"]

NotedKey = tuple[str, str, str]
"""Scope, objective and what was said of them; for `SUSPECTED` a suggestion's id and nothing."""
SUSPECTED = "suspected"
"""What stands for: something spoke for a suggestion."""
MOST_KEPT = 1_000
"""The newest so many are kept. Each is a scope whose five names are of 200 characters at most, so that they stay below 2 MB; who names
more scopes than that in ten minutes is told of the others once more after a start."""
_FORM = 1
"""Grows when the text changes; another form is not read, and things are said once more."""


def kept(noted: Mapping[NotedKey, datetime], at: datetime) -> str:
    """Return what was said as JSON; `at` is when somebody looked last."""
    newest = sorted(noted.items(), key=lambda item: item[1])[-MOST_KEPT:]
    return json.dumps(
        {"form": _FORM, "at": at.isoformat(), "noted": [[*key, seen_at.isoformat()] for key, seen_at in newest]}
    )


def resumed(text: str | None, at: datetime) -> dict[NotedKey, datetime]:
    """Return what was said before, as it stands at a start; nothing where nothing was kept, or this version cannot read it.

    That nobody spoke for a suggestion while nobody looked is no sign that it is over: those times move with the pause.
    """
    if text is None:
        return {}
    try:
        raw = json.loads(text)
        if raw["form"] != _FORM:
            return {}
        pause = max(timedelta(0), at - datetime.fromisoformat(raw["at"]))
        found: dict[NotedKey, datetime] = {}
        for scope, objective, what, seen_at in raw["noted"]:
            seen = datetime.fromisoformat(seen_at)
            found[scope, objective, what] = seen + pause if what == SUSPECTED else seen
    except (ValueError, TypeError, KeyError):
        return {}
    return found
