"""Pages of the fleet: what they add up in memory is what the tiers hold."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from plugwarden_collector.store import statement
from plugwarden_collector.store.duckdb.calls.cells import Cells

from tests.collector.support.rolled_store import BEGIN, Store, call_each

MINUTE = timedelta(minutes=1)


def test_a_plugin_that_is_new_while_a_page_is_made_gives_its_name_to_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = BEGIN + 10 * MINUTE
    call_each(store, ["b"] * 3 + ["c"] * 5, BEGIN, at)
    since = BEGIN - MINUTE
    store.fleet.series(since, at, 10.0)
    joined, judges = Cells.joined, list[threading.Thread]()

    def and_a_tick(parts: Any) -> Any:
        if not judges:
            call_each(store, ["a"], at)
            judges.append(threading.Thread(target=store.fleet.memory.follow))
            judges[0].start()
            judges[0].join(10)
        return joined(parts)

    call_each(store, ["b"], BEGIN, at)  # so that the text is made anew
    monkeypatch.setattr(Cells, "joined", staticmethod(and_a_tick))
    store.fleet.series(since, at, 10.0)
    assert judges
    cut = {**store.database.tiers.span(since, at, finest=True), "step": 10.0}
    exact = json.loads(store.database.fetch(statement("fleet_series"), cut)[0]["calls"])
    assert json.loads(store.fleet.series(since, at, 10.0)) == exact
