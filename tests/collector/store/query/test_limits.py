"""What watches the statements of readers goes on when one of them ends, and is in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from plugwarden_collector.memory import memory
from plugwarden_collector.store import Database, run_query
from plugwarden_collector.store.duckdb.query import limits
from plugwarden_collector.store.duckdb.query.limits import End
from plugwarden_collector.store.duckdb.query.stream import _watch

LONG_SECONDS = 60.0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Database]:
    """A store whose watch no other test has started."""
    database = Database(tmp_path)
    yield database
    database.close()


def test_a_statement_is_held_to_its_memory_after_the_one_before_it_has_ended(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "memory", lambda: replace(memory(), held_bytes=64 * 1024 * 1024))
    watch, first, second = _watch(own), own.cursor(), own.cursor()
    before, ticket = watch.begin(first, LONG_SECONDS), watch.begin(second, LONG_SECONDS)
    watch.finish(before)
    first.close()
    with pytest.raises(duckdb.Error):
        second.execute("select list(range) from range(10000000000)").fetchall()
    watch.finish(ticket)
    second.close()
    assert ticket.ended is End.MEMORY


def test_a_statement_ends_in_order_while_the_watch_looks(own: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    held = limits._held

    def slowly(probe: duckdb.DuckDBPyConnection) -> int:
        with suppress(duckdb.Error):  # the store is closing
            probe.execute("select count(*) from range(100000000) where range % 7 = 3").fetchall()  # a busy machine
        return held(probe)

    monkeypatch.setattr(limits, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(limits, "_held", slowly)
    there = "select count(*) as n from changes where len(list_distinct([1])) = 1"
    for sql in [there, "select count(*) as n from changes"] * 3:
        assert run_query(own, sql).table.to_pylist() == [{"n": 0}]
