"""Sloth's own tables of windows (`AlertWindows`): each is for the objectives of one period."""

from __future__ import annotations

from typing import Any

from plugwarden_collector.rules.tiers import PAGE, TICKET
from plugwarden_collector.rules.windows_keys import windows_in
from plugwarden_collector.rules.yaml_text import Value

from .draft import Found, ratio_of

__all__ = ["KIND", "read_windows"]

KIND = "AlertWindows"
_KEYS = {"errorBudgetPercent": "budget_ratio", "shortWindow": "short", "longWindow": "long"}


def read_windows(document: Value, found: Found) -> None:
    """Read a table, named by its period: `sloth-30d`."""
    found.known(document, {"apiVersion", "kind", "metadata", "spec"})
    before, spec = len(found.problems), found.mapping(document, "spec", needed=True)
    if spec is None:
        return
    found.known(spec, {"sloPeriod", PAGE, TICKET})
    period = found.text(spec, "sloPeriod", needed=True)
    rows = [row for severity in (PAGE, TICKET) for row in _rows(spec, severity, found)]
    if period is None or len(found.problems) > before:
        return
    problems: list[str] = []
    table: dict[str, Any] = {"name": f"sloth-{period.text}", "period": period.text, "tier": [row for row, _ in rows]}
    known = windows_in({"windows": [table]}, problems)
    for problem in problems:
        place, _, wrong = problem.removeprefix("windows[0].").partition(": ")
        number = int(place[5 : place.index("]")]) if place.startswith("tier[") else None
        found.refuse(period if number is None else rows[number][1], f"{place.rpartition('.')[2]}: {wrong}")
    if not problems:
        made = known[table["name"]]
        found.tables[made.period_seconds] = made


def _rows(spec: Value, severity: str, found: Found) -> list[tuple[dict[str, Any], Value]]:
    """Return the tiers of one severity as tables, each with its place."""
    tiers = found.mapping(spec, severity, needed=True)
    if tiers is None:
        return []
    found.known(tiers, {"quick", "slow"})
    rows = []
    for speed in ("quick", "slow"):
        tier = found.mapping(tiers, speed, needed=True)
        if tier is None:
            continue
        found.known(tier, _KEYS)
        row: dict[str, Any] = {"severity": severity}
        for key, name in _KEYS.items():
            value = found.text(tier, key, needed=True)
            if value is not None:
                row[name] = ratio_of(float(value.value)) if isinstance(value.value, int | float) else value.text
        rows.append((row, tier))
    return rows
