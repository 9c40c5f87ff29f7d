"""When plugins were called last, and on which of the days before within the same hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from plugwarden_collector.watch.absence import LastCall

from tests.collector.support.rolled_store import AT, Store, call_each

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two plugins are called 30 and 10 minutes before this time of each day: today not yet at the second, geo on two days only."""
    found = Store(tmp_path)
    for day in range(8, -1, -1):
        call_each(found, ["csv", "geo"], AT - day * DAY - 30 * MINUTE)
        if day:
            call_each(found, ["csv", "geo"] if day in (1, 2) else ["csv"], AT - day * DAY - 10 * MINUTE)
    yield found
    found.close()


def test_the_same_hours_of_the_days_before_say_what_is_usual(store: Store) -> None:
    csv, geo = store.telemetry.judging.last_calls(AT - 9 * DAY, AT - 20 * MINUTE, AT, by_operation=False)
    assert (csv.plugin, csv.operation, csv.services) == ("csv", "", ("unknown_service",))
    assert csv.days == {1, 2, 3, 4, 5, 6, 7}
    assert geo.days == {1, 2}
    assert timedelta(0) <= AT - 30 * MINUTE - csv.last_at < MINUTE, "by the minute where seconds are not kept"
    assert csv.longest_seconds == pytest.approx(DAY.total_seconds() - 20 * 60, abs=60)


def test_days_are_not_looked_at_of_what_was_called_lately(store: Store) -> None:
    found = store.telemetry.judging.last_calls(AT - 9 * DAY, AT - DAY, AT, by_operation=False)
    assert [item.days for item in found] == [frozenset(), frozenset()]


def test_operations_are_told_apart_where_that_is_asked_for(store: Store) -> None:
    found: list[LastCall] = [*store.telemetry.judging.last_calls(AT - 9 * DAY, AT, AT, by_operation=True)]
    assert [(item.plugin, item.operation) for item in found] == [("csv", "run"), ("geo", "run")]
