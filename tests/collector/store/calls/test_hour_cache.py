"""What is known of full hours outlives a long rollup."""

from __future__ import annotations

from datetime import timedelta

import pytest
from plugwarden_collector.store.duckdb.calls import resolutions
from plugwarden_collector.store.duckdb.calls.hour_cache import ClosedHours

from tests.collector.support.rolled_store import BEGIN, Store, call_each


def test_a_long_rollup_leaves_what_is_known_of_full_hours(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolutions, "MAX_FRESH_ROWS", 2)
    start = BEGIN.replace(minute=0, second=0)
    for hour in range(10):
        call_each(store, ["geo"], start + timedelta(hours=hour))
    hours = ClosedHours(store.database)
    at = start + timedelta(hours=9, minutes=30)
    cut = store.database.tiers.span(start - timedelta(hours=1), at)
    assert hours.counts(cut) == {("geo", "1"): (10, 0)}
    kept = hours.memory_bytes()
    call_each(store, ["geo", "csv", "pdf", "xml"], at)
    hours.follow()
    assert hours.memory_bytes() == kept
    call_each(store, ["geo"], start + timedelta(hours=2), at)  # a late one still counts
    assert hours.counts(store.database.tiers.span(start - timedelta(hours=1), at))["geo", "1"] == (12, 0)  # type: ignore[index]
