"""Calls at the same time of the days before."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.collector.support.rolled_store import AT, Store, call_each

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
NOW = AT.replace(second=0)


def test_windows_are_placed_by_their_day_and_what_is_beside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for day, minutes, calls in ((3, 10, 3), (2, 40, 2), (2, -20, 4), (2, 100, 9), (0, 29, 1), (0, 31, 5)):
        for _ in range(calls):
            call_each(store, ["csv"], NOW - day * DAY - minutes * MINUTE)
    (found,) = store.telemetry.judging.same_hours(NOW, 1800.0)
    store.close()
    assert (found.plugin, found.now.calls, found.age_days) == ("csv", 1, 3)
    assert {place: counts.calls for place, counts in found.past.items()} == {(3, 0): 3, (2, 1): 2, (2, -1): 4}
    assert (found.now.ended, found.now.failed) == (1, 0)
    assert found.now.seconds > 0
