"""What is usual, as it is read: hours that are over are asked for once, several at a time, and no more than there is room for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from plugwarden_collector.judge.arrivals import Past
from plugwarden_collector.store.duckdb.calls import usual
from plugwarden_collector.store.duckdb.calls.usual import Usual

from tests.collector.support.rolled_store import AT, Store, call_each

HOUR = timedelta(hours=1)
UNTIL = AT.replace(minute=0, second=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One call in each of the seven hours before `UNTIL` but the third, of two plugins."""
    found = Store(tmp_path_factory.mktemp("usual"))
    for hours in (7, 6, 5, 4, 2, 1):
        call_each(found, ["csv", "geo"], UNTIL - hours * HOUR)
    found.roll(AT + HOUR)
    yield found
    found.close()


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whole hours of each statement."""
    spans: list[int] = []
    fetch = store.database.fetch_arrow

    def noted(statement: object, parameters: dict[str, datetime]) -> object:
        spans.append((parameters["before"] - parameters["first"]) // HOUR)
        return fetch(statement, parameters)

    monkeypatch.setattr(store.database, "fetch_arrow", noted)
    return spans


def test_hours_are_read_several_at_a_time_and_once(store: Store, asked: list[int]) -> None:
    memory = Usual(store.database)
    assert memory.past(UNTIL - 24 * HOUR, UNTIL, ()) == [Past(name, "1", "run", 6, 0.0) for name in ("csv", "geo")]
    assert asked == [1, 2, 4, 8, 9]
    asked.clear()
    assert [item.calls for item in memory.past(UNTIL - 24 * HOUR, UNTIL, ())] == [6, 6]
    assert asked == []


def test_the_newest_hours_are_kept_that_there_is_room_for(
    store: Store, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operations an hour: the fifth hour is the first beyond the room, and the last that is kept."""
    monkeypatch.setattr(usual, "MAX_ROWS", 8)
    memory = Usual(store.database)
    assert [item.calls for item in memory.past(UNTIL - 24 * HOUR, UNTIL, ())] == [4, 4]
    assert memory.memory_bytes() == 4 * 2 * 24
    assert sum(asked) <= 7
