"""Which budgets are written: those that say something else than what is stored. A name without calls costs no write."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from plugwarden_collector.decide.changes import BudgetStatus

__all__ = ["BudgetRows"]

REFRESHED_EVERY = timedelta(minutes=10)
"""A row that says the same is written again after this long, so that its time tells that it is still judged."""


class BudgetRows:
    """Remembers what was stored of each budget. Used by the judge's thread alone."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str, str | None], BudgetStatus] = {}

    def changed(self, judged: Iterable[BudgetStatus]) -> list[BudgetStatus]:
        """Return those of `judged` that are to be written."""
        return [status for status in judged if not self._says(status)]

    def written(self, judged: Iterable[BudgetStatus], changed: Iterable[BudgetStatus]) -> None:
        """Note that `changed` are stored; what is in none of `judged` any more is forgotten."""
        fresh = {status.key: status for status in changed}
        known = (status.key for status in judged)
        self._stored = {key: fresh[key] if key in fresh else self._stored[key] for key in known}

    def _says(self, status: BudgetStatus) -> bool:
        stored = self._stored.get(status.key)
        if stored is None or stored != status:
            return False
        return timedelta(0) <= status.at - stored.at < REFRESHED_EVERY
