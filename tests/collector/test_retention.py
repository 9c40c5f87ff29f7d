"""Letting go: by age and by size, slice by slice, kept as Parquet when asked, and never more than what is too old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.receive.decode import Signal
from plugwarden_collector.settings import Settings
from plugwarden_collector.store.retention import Keep, RetentionStats, clean_up
from plugwarden_collector.store.traces import find_trace

from .test_rollup import AT, Store, span

KEEP = Keep(raw=timedelta(days=2), max_bytes=0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "data")
    yield made
    made.close()


def fill(store: Store, ages_hours: list[int], each: int = 10) -> list[int]:
    traces = []
    for age in ages_hours:
        message = trace_service_pb2.ExportTraceServiceRequest()
        for _ in range(each):
            made = span(message, at=AT - timedelta(hours=age), name=f"{age} h")
            traces.append(int.from_bytes(made.trace_id, "big"))
        store.send(Signal.TRACES, message)
    store.roll()
    return traces


def names(store: Store) -> set[str]:
    return {row[0] for row in store.database.cursor().execute("select distinct name from spans").fetchall()}


def test_raw_rows_go_by_age_and_their_counts_stay(store: Store) -> None:
    traces = fill(store, [100, 60, 49, 47, 1])
    stats = RetentionStats()
    clean_up(store.database, store.writer, KEEP, stats, AT)
    assert names(store) == {"47 h", "1 h"}
    assert stats.rows == {"spans": 30}
    assert sum(store.calls().values()) == 50
    spans, _ = find_trace(store.database, store.writer.traces, traces[-1])
    assert len(spans) == 1
    clean_up(store.database, store.writer, KEEP, stats, AT)
    assert stats.rows == {"spans": 30}


def test_what_is_let_go_is_kept_as_parquet_by_day(store: Store, tmp_path: Path) -> None:
    fill(store, [100, 60, 49, 1])
    clean_up(store.database, store.writer, replace(KEEP, archive=tmp_path / "archive"), RetentionStats(), AT)
    kept = ds.dataset(tmp_path / "archive" / "spans", partitioning="hive").to_table()
    assert len(kept) == 30
    assert set(kept["name"].to_pylist()) == {"100 h", "60 h", "49 h"}
    days = {path.parent.name for path in (tmp_path / "archive").rglob("*.parquet")}
    assert days == {f"day={(AT - timedelta(hours=age)).date()}" for age in (100, 60, 49)}
    one = pq.read_table(next((tmp_path / "archive").rglob("*.parquet")))
    assert {"trace_id", "attributes", "started_at"} <= set(one.column_names)
    assert not list((tmp_path / "archive").rglob("*.part"))


def test_rows_that_arrive_late_are_archived_beside_the_first(store: Store, tmp_path: Path) -> None:
    keep = replace(KEEP, archive=tmp_path / "archive")
    for _ in range(3):
        fill(store, [60])
        clean_up(store.database, store.writer, keep, RetentionStats(), AT)
    assert len(ds.dataset(tmp_path / "archive" / "spans", partitioning="hive").to_table()) == 30
    assert len(list((tmp_path / "archive").rglob("*.parquet"))) == 3


def test_without_room_the_oldest_raw_rows_go_early(store: Store) -> None:
    fill(store, list(range(30, 0, -1)), each=2_000)
    store.writer.checkpoint().result(10)
    used = store.database.used_bytes()
    stats = RetentionStats()
    clean_up(store.database, store.writer, replace(KEEP, max_bytes=used // 2), stats, AT)
    left = {int(name.removesuffix(" h")) for name in names(store)}
    assert stats.early == 1
    assert left == set(range(1, max(left) + 1))  # the newest, without gaps
    assert 8 <= len(left) <= 20
    assert sum(store.calls().values()) == 60_000


def test_nothing_goes_while_there_is_room(store: Store) -> None:
    fill(store, [40, 1])
    stats = RetentionStats()
    clean_up(store.database, store.writer, replace(KEEP, max_bytes=10**9), stats, AT)
    assert names(store) == {"40 h", "1 h"}
    assert stats.early == 0


def test_what_is_let_go_makes_room_in_the_file(store: Store) -> None:
    fill(store, [60], each=130_000)
    fill(store, [1], each=1_000)
    store.writer.checkpoint().result(10)
    before = store.database.used_bytes()
    clean_up(store.database, store.writer, KEEP, RetentionStats(), AT)
    store.writer.checkpoint().result(10)
    assert before - store.database.used_bytes() > 130_000 * 24  # the random ids alone take as much


@pytest.mark.parametrize(
    ("raw", "size", "word"),
    [
        ("8 days", "1GB", "--keep-raw"),
        ("1m", "1GB", "--keep-raw"),
        ("7d", "many", "--max-size"),
        ("7d", "5K", "--max-size"),
    ],
)
def test_settings_that_make_no_sense_name_their_flag(raw: str, size: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        Settings.keep_from(raw, size, None)
    assert Settings.keep_from("36h", "1.5GB", None) == Keep(raw=timedelta(hours=36), max_bytes=1_500_000_000)
