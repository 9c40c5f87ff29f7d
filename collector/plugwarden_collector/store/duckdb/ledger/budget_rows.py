"""Which budgets are written: those that say something else than what is stored. A name without calls costs no write."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

__all__ = ["BudgetRows"]

REFRESHED_EVERY = timedelta(minutes=10)
"""A row that says the same is written again after this long, so that its time tells that it is still judged."""
_TIME = 3
BudgetRow = tuple[Any, ...]
"""As `Changes.slo_status` has it: objective, plugin, version, time, and what was judged."""


class BudgetRows:
    """Remembers what was stored of each budget. Used by the judge's thread alone."""

    def __init__(self) -> None:
        self._stored: dict[BudgetRow, BudgetRow] = {}

    def changed(self, rows: Iterable[BudgetRow]) -> list[BudgetRow]:
        """Those of `rows` that are to be written."""
        return [row for row in rows if not self._says(row)]

    def written(self, rows: Iterable[BudgetRow], changed: Iterable[BudgetRow]) -> None:
        """`changed` are stored; what is in none of `rows` any more is forgotten."""
        fresh = {row[:_TIME]: row for row in changed}
        known = (row[:_TIME] for row in rows)
        self._stored = {key: fresh[key] if key in fresh else self._stored[key] for key in known}

    def _says(self, row: BudgetRow) -> bool:
        stored = self._stored.get(row[:_TIME])
        if stored is None or stored[_TIME + 1 :] != row[_TIME + 1 :]:
            return False
        at: datetime = row[_TIME]
        before: datetime = stored[_TIME]
        return timedelta(0) <= at - before < REFRESHED_EVERY
