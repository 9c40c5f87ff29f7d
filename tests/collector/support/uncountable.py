"""Rows at which counting fails. The door and the sums hold every number that is known to have done that, so that what fails here
stands for what nobody thought of."""

from __future__ import annotations

from typing import Any

import pytest
from plugwarden_collector.store.duckdb.calls import counting
from plugwarden_collector.store.duckdb.calls.resolutions import Tiers

__all__ = ["fail_counting"]


def fail_counting(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return a set of plugins at whose points counting fails, while they are in it."""
    names: set[str] = set()

    def failing(work: Any) -> Any:
        def counted(connection: Any, tiers: Tiers, batch: int, *rest: Any) -> Any:
            found = connection.execute(
                "select plugin_id from point_rows where batch > ? and batch <= ? and list_contains(?, plugin_id) limit 1",
                [tiers.rolled, batch, sorted(names)],
            ).fetchall()
            if found:
                raise OverflowError(f"{found[0][0]} cannot be counted")
            return work(connection, tiers, batch, *rest)

        return counted

    for name in ("count", "roll_up"):
        monkeypatch.setattr(counting, name, failing(getattr(counting, name)))
    return names
