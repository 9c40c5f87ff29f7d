"""Letting go: by age and by size, slice by slice, kept as Parquet when asked, and never more than what is too old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.control.observe import observe
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.policy import Policy
from plugwarden_collector.settings import Settings
from plugwarden_collector.store import Telemetry, telemetry_of
from plugwarden_collector.store.duckdb.retention.archive import TIMES
from plugwarden_collector.store.duckdb.retention.slices import Keep, RetentionStats, clean_up
from plugwarden_collector.store.duckdb.statements import all_statements
from plugwarden_collector.store.duckdb.traces.search import find_trace
from plugwarden_collector.store.logs import LogFilter, LogMark

from tests.collector.support.rolled_store import AT, Store, ns, span

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


def hear(store: Store, at: datetime = AT) -> None:
    """A log record of this time: ages are counted from no later than the newest data."""
    message = logs_service_pb2.ExportLogsServiceRequest()
    message.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=ns(at))
    store.send(Signal.LOGS, message, at)


def names(store: Store) -> set[str]:
    return {row[0] for row in store.database.cursor().execute("select distinct name from spans").fetchall()}


def test_raw_rows_go_by_age_and_their_counts_stay(store: Store) -> None:
    traces = fill(store, [100, 60, 49, 47, 1])
    stats = RetentionStats()
    clean_up(store.database, store.writer, KEEP, stats, AT)
    assert names(store) == {"47 h", "1 h"}
    assert stats.rows == {"spans": 30}
    assert sum(store.calls().values()) == 50
    spans = find_trace(store.database, store.writer.traces, traces[-1]).spans
    assert len(spans) == 1
    clean_up(store.database, store.writer, KEEP, stats, AT)
    assert stats.rows == {"spans": 30}


def test_the_id_of_a_log_record_means_it_alone_or_nothing(store: Store) -> None:
    """One commit has old and new records, and the old ones are let go."""
    message = logs_service_pb2.ExportLogsServiceRequest()
    for number, age in enumerate((100, 1, 90, 2, 80, 3)):
        record = (
            message.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=ns(AT - timedelta(hours=age)))
        )
        record.body.string_value = f"record {number}"
    store.send(Signal.LOGS, message)
    store.roll()

    def bodies(telemetry: Telemetry) -> dict[str, str]:
        page = telemetry.logs.newest(LogFilter(), AT - timedelta(days=9), AT, 100)
        return {line.id: line.body for line in page.lines}

    logs = telemetry_of(store.database, store.writer)
    before = bodies(logs)
    clean_up(store.database, store.writer, KEEP, RetentionStats(), AT)
    kept = {id: body for id, body in before.items() if body in ("record 1", "record 3", "record 5")}
    assert (len(before), bodies(logs)) == (6, kept)
    marks = {id: LogMark(*map(int, id.split("-"))) for id in before}
    for id, mark in marks.items():
        around = [(line.id, line.body) for line in logs.logs.around(LogFilter(), mark, 1).lines]
        assert around == [] if id not in kept else (id, kept[id]) in around
    # Whoever had read up to a record goes on with the next one, whatever was let go before it.
    first = next(id for id, body in before.items() if body == "record 1")
    after = logs.logs.after(LogFilter(), marks[first], 10)
    assert [line.body for line in after.lines] == ["record 3", "record 5"]
    assert after.mark == max(marks.values())


def test_a_budget_outlives_the_raw_rows_and_the_minutes_of_earlier_releases(store: Store) -> None:
    objective = Objective("availability", Sli.AVAILABILITY, 0.99, 30 * 86_400.0)

    def total() -> int:
        judging = telemetry_of(store.database, store.writer).judging
        seen = observe(judging, Rules((objective,), Policy()), AT, since=AT - timedelta(days=30), budgets=True)
        return sum(counts.total for counts in (seen.periods or {})["availability"].values())

    fill(store, [29 * 24, 10 * 24, 60, 1])
    assert total() == 40
    clean_up(store.database, store.writer, replace(KEEP, minutes=timedelta(days=5)), RetentionStats(), AT)
    assert names(store) == {"1 h"}
    assert total() == 40


def test_the_last_judgement_of_what_is_not_judged_any_more_goes_with_the_minutes(store: Store) -> None:
    hear(store)
    row = "insert into plugin_budgets by name select 'a' as slo, '{}' as plugin_id, timestamp '{}' as time, 'availability' as sli, 0.9 as "
    row += "objective, 60 as period_seconds, 1 as versions, 2 as total, 1 as bad"
    insert(store, row.format("old", AT - timedelta(days=36)), *(row.format(f"p{number}", AT) for number in range(9)))
    clean_up(store.database, store.writer, KEEP, RetentionStats(), AT)
    found = store.database.cursor().execute("select plugin_id from plugin_budgets order by 1").fetchall()
    assert [name for (name,) in found] == [f"p{number}" for number in range(9)]


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
    hear(store)
    for _ in range(3):
        fill(store, [60])
        clean_up(store.database, store.writer, keep, RetentionStats(), AT)
    assert len(ds.dataset(tmp_path / "archive" / "spans", partitioning="hive").to_table()) == 30
    assert len(list((tmp_path / "archive").rglob("*.parquet"))) == 3


def insert(store: Store, *statements: str) -> None:
    store.writer.run(lambda connection: [connection.execute(sql) for sql in statements]).result(10)


def read_archive(folder: Path, view: str) -> list[tuple[object, ...]]:
    """By DuckDB, as the how-to says."""
    pattern = f"{folder}/{view}/*/*.parquet"
    sql = f"select * from read_parquet('{pattern}', hive_partitioning = true) order by 1"
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize(("tier", "kept", "step"), [("minute", 35, 1), ("hour", 400, 60)])
def test_every_minute_and_hour_that_goes_is_in_the_archive(
    store: Store, tmp_path: Path, tier: str, kept: int, step: int
) -> None:
    """Round by round, as time passes: what is gone from the table is in the archive, once, and nothing else is."""
    keep = replace(KEEP, archive=tmp_path / "archive")
    first = AT.replace(minute=0, second=0) - timedelta(days=kept)
    insert(
        store,
        f"insert into call_{tier}s select timestamp '{first}' + range * interval {step} minute, 's', 'i', 'csv', '1', 'x', "
        "'success', '', '', 1, 0.1, 0.1, 0, [1], [1] from range(150)",
    )
    hear(store, AT + timedelta(minutes=150 * step))
    for minutes in range(0, 150 * step, max(20, 50 * step)):
        clean_up(store.database, store.writer, keep, RetentionStats(), AT + timedelta(minutes=minutes))
        left = store.database.cursor().execute(f"select bucket_start from call_{tier}s").fetchall()
        archived = (
            {row[:1] for row in read_archive(tmp_path / "archive", f"call_{tier}s")} if len(left) < 150 else set()
        )
        assert len(left) + len(archived) == len({*left} | archived) == 150
    assert 0 < len(left) < 150


def test_what_happened_is_archived_before_it_goes(store: Store, tmp_path: Path) -> None:
    old, new = AT - timedelta(days=401), AT - timedelta(days=399)
    for at, word in ((old, "old"), (new, "new")):
        insert(
            store,
            f"insert into alert_events values (timestamp '{at}', 'f', '{word}', 'page', 'csv', null, 'pending', 'firing', 'why')",
            f"insert into notifications values (timestamp '{at}', '{word}', 'f', 'sent', 1, null, '{{\"a\": [1]}}', 'n', null)",
            f"insert into changes values (timestamp '{at}', '{word}', 'csv', '1', 'host', 'text')",
        )
    clean_up(store.database, store.writer, replace(KEEP, archive=tmp_path), RetentionStats(), AT)
    day = old.date()
    assert read_archive(tmp_path, "alert_events") == [
        (old, "f", "old", "page", "csv", None, "pending", "firing", "why", day)
    ]
    assert read_archive(tmp_path, "notifications") == [(old, "old", "f", "sent", 1, None, '{"a": [1]}', "n", None, day)]
    assert read_archive(tmp_path, "changes") == [(old, "old", "csv", "1", "host", "text", day)]
    for view in ("alert_events", "notifications", "changes"):
        assert store.database.cursor().execute(f"select time from {view}").fetchall() == [(new,)]


def test_without_an_archive_what_happened_goes_by_age(store: Store) -> None:
    insert(
        store,
        *(
            f"insert into changes values (timestamp '{AT - timedelta(days=days)}', 'test', null, null, null, '')"
            for days in (401, 399)
        ),
    )
    clean_up(store.database, store.writer, KEEP, RetentionStats(), AT)
    assert len(store.database.cursor().execute("from changes").fetchall()) == 1


def test_nothing_goes_that_could_not_be_archived(store: Store, tmp_path: Path) -> None:
    (tmp_path / "changes").write_text("in the way")
    old = AT - timedelta(days=401)
    insert(store, f"insert into changes values (timestamp '{old}', 'test', null, null, null, '')")
    with pytest.raises(OSError, match="changes"):
        clean_up(store.database, store.writer, replace(KEEP, archive=tmp_path), RetentionStats(), AT)
    assert len(store.database.cursor().execute("from changes").fetchall()) == 1


NOT_ARCHIVED = {
    "waits",
    "wait_minutes",
    "limit_minutes",
    "cumulative_streams",
    "slo_status",
    "plugin_budgets",
    "directive_sets",
    "requests",
    "trace_blocks",
    "trace_texts",
}
"""Bookkeeping, or made anew from what is kept: docs/how-to/keep.md says so of each."""


def test_the_how_to_speaks_of_everything_that_goes() -> None:
    names = [item.name for item in all_statements()]
    expiring = {name.removeprefix("expire_") for name in names if name.startswith("expire_")}
    archived = {name.removeprefix("archive_") for name in names if name.startswith("archive_")}
    archived |= {
        "points",
        "minutes",
        "hours",
    }  # by which the deletions of metric_points, call_minutes and call_hours go
    assert expiring - archived == NOT_ARCHIVED
    text = (Path(__file__).parents[4] / "docs/how-to/keep.md").read_text("utf-8")
    for name in {*NOT_ARCHIVED - {"waits"}, "wait_seconds", "call_seconds", *TIMES}:
        assert f"`{name}`" in text, f"{name} is not in keep.md"


def test_calls_later_than_minutes_are_kept_take_nothing_from_their_hour(store: Store) -> None:
    """They come between two rounds of cleaning up, and a full hour ends before the next one."""
    old, now = AT - timedelta(days=40), AT.replace(minute=59)

    def send(calls: int, at: datetime) -> None:
        message = trace_service_pb2.ExportTraceServiceRequest()
        for _ in range(calls):
            span(message, at=old)
        store.send(Signal.TRACES, message, at=at)
        store.roll(at)

    send(100, old)
    store.roll(now)
    clean_up(store.database, store.writer, replace(KEEP, raw=timedelta(days=50)), RetentionStats(), now)
    send(1, now)
    store.roll(now + timedelta(minutes=4))
    assert store.database.cursor().execute("select sum(calls) from call_hours").fetchall() == [(101,)]


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


def test_what_is_not_counted_yet_does_not_go(store: Store) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for _ in range(10):
        span(message, at=AT - timedelta(days=8))
    store.send(Signal.TRACES, message)
    hear(store)
    clean_up(store.database, store.writer, Keep(), RetentionStats(), AT)
    assert store.calls() == {("search", "run", "success"): 10}
    assert store.database.cursor().execute("select count(*) from spans").fetchall() == [(0,)]
