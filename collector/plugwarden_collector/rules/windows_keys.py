"""The keys of a `[[windows]]` table: a table of burn-rate tiers of one's own, each tier below `[[windows.tier]]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .table import duration_at, given_twice, tables, unknown_keys
from .tiers import BUILT_IN, PAGE, TICKET, BurnWindows, Tier, tier_of
from .workable import name_problem, shown, windows_problems

__all__ = ["windows_in"]

MAX_TIERS = 8
"""Tiers of a table; the workbook has three, Sloth and Pyrra four."""
MAX_FACTOR = 1e6
"""The burn rate when everything fails at six nines."""


def windows_in(document: Mapping[str, Any], problems: list[str]) -> dict[str, BurnWindows]:
    """Return the tables that objectives can name: the built-in ones, and those of a document."""
    written = [(f"windows[{index}]", item) for index, item in tables(document, "windows", problems)]
    problems += given_twice((place, item.get("name")) for place, item in written)
    found = (_windows_in(item, place, problems) for place, item in written)
    return {**BUILT_IN, **{item.name: item for item in found if item is not None}}


def _windows_in(table: Mapping[str, Any], place: str, problems: list[str]) -> BurnWindows | None:
    unknown_keys(table, {"name", "period", "tier"}, place, problems)
    before, name = len(problems), table.get("name")
    if wrong := name_problem(name):
        problems.append(f"{place}.name: {wrong}")
    elif name in BUILT_IN:
        problems.append(f"{place}.name: {shown(name)} is built in; take another name")
    period = duration_at(table, "period", "30d", place, problems)
    rows = table.get("tier", [])
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_TIERS or not all(isinstance(row, dict) for row in rows):
        problems.append(f"{place}.tier: write 1 to {MAX_TIERS} tables headed [[windows.tier]]")
        return None
    if not period:
        if period is not None:
            problems.append(f"{place}.period: must be longer than 0s, such as 30d")
        return None
    tiers = [_tier_in(row, f"{place}.tier[{index}]", period, problems) for index, row in enumerate(rows)]
    if len(problems) > before:
        return None
    found = BurnWindows(str(name), period, tuple(tier for tier in tiers if tier is not None))
    problems += [f"{place}.{key}: {wrong}" for key, wrong in windows_problems(found)]
    return found if len(problems) == before else None


def _tier_in(row: Mapping[str, Any], place: str, period: float, problems: list[str]) -> Tier | None:
    unknown_keys(row, {"severity", "long", "short", "factor", "budget_ratio"}, place, problems)
    before, severity = len(problems), row.get("severity")
    if severity not in (PAGE, TICKET):
        problems.append(f"{place}.severity: {shown(severity)} must be {PAGE} or {TICKET}")
    sizes = {}
    for key, example in (("long", "1h"), ("short", "5m")):
        size = duration_at(row, key, None, place, problems)
        if size:
            sizes[key] = size
        elif key not in row or size == 0:
            problems.append(f'{place}.{key}: {shown(row.get(key))} must be a duration, such as "{example}"')
    if ("factor" in row) is ("budget_ratio" in row):
        problems.append(f"{place}.factor: write factor, or budget_ratio, and not both")
    for key, most in (("factor", MAX_FACTOR), ("budget_ratio", 1.0)):
        value = row.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            problems.append(f"{place}.{key}: {shown(value)} must be above 0, and at most {most:g}")
    if len(problems) > before:
        return None
    return tier_of(
        str(severity),
        sizes["long"],
        sizes["short"],
        period,
        factor=row.get("factor"),
        budget_ratio=row.get("budget_ratio"),
    )
