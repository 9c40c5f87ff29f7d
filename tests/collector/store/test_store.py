"""The store: every statement fits the schema, minutes keep what seconds held, and a kill loses nothing acknowledged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest
from plugwarden_collector.command.processes import collector_command
from plugwarden_collector.errors import StoreError
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store import Database, run_query
from plugwarden_collector.store.duckdb.calls.resolutions import Tiers
from plugwarden_collector.store.duckdb.calls.rollup import roll_up
from plugwarden_collector.store.duckdb.retention.slices import Keep, retain
from plugwarden_collector.store.duckdb.statements import all_statements, statement
from plugwarden_collector.store.duckdb.write.commit import Committer

from tests.collector.support.span_request import PROTOBUF, request
from tests.collector.support.stores import opened, traces

AT = datetime(2026, 1, 1, 12)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path)


def test_a_page_of_logs_numbers_no_records_that_it_does_not_have(database: Database) -> None:
    """To count places over all records from a cursor on took two seconds for a hundred of three million."""
    values = dict.fromkeys(("plugin", "text", "severity", "hi", "lo")) | {"batch": 1, "place": 1, "limit": 100}
    plan = database.cursor().execute(f"explain {statement('logs_after').sql}", values).fetchall()[0][1]
    assert "Top N" in plan or "TOP_N" in plan
    assert "window" not in plan.lower()


def test_every_statement_binds_against_a_new_database(database: Database) -> None:
    connection = database.cursor()
    for staging, rows in (
        ("incoming_spans", "span_rows"),
        ("incoming_logs", "log_rows"),
        ("incoming_points", "point_rows"),
    ):
        places = ", place" if staging == "incoming_logs" else ""
        connection.execute(f"create temp view {staging} as select * exclude (batch{places}) from {rows}")
    connection.execute("create temp view incoming_resources as from resource_rows")
    connection.execute("create temp view incoming_requests as select hash from requests")
    connection.execute("create temp view staged_calls as from call_seconds")
    connection.execute("create temp view folded_calls as from call_minutes")
    connection.execute(
        "create temp view staged_words as "
        "select bucket_start, service_name, plugin_id, error_type as word, 0::bigint as row from call_seconds"
    )
    connection.execute(
        "create temp view staged_tenants as "
        "select service_name, plugin_id, tenant_id, calls, 0::bigint as row from call_seconds"
    )
    connection.execute("create temp view staged_waits as from wait_seconds")
    connection.execute("create temp view staged_limits as from limit_minutes")
    connection.execute("create temp view staged_streams as from cumulative_streams")
    connection.execute("create temp view wanted_streams as select series, sender, started_at from cumulative_streams")
    connection.execute("create temp view doubtful_rows as select rowid as row from call_seconds")
    for item in all_statements():
        connection.execute(f"prepare checked as {item.sql}")
        connection.execute("deallocate checked")
        assert item.sql.startswith("--"), f"{item.name} does not say what it is for"


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    Database(tmp_path).close()
    with duckdb.connect(str(tmp_path / "plugwarden.duckdb")) as raw:
        raw.execute("insert into migrations values (999, 'x')")
    with pytest.raises(StoreError, match="newer plugwarden"):
        Database(tmp_path)


def test_a_store_is_closed_while_somebody_reads_and_the_reader_is_told(tmp_path: Path) -> None:
    database = Database(tmp_path)
    begun, told = threading.Event(), []

    def read() -> None:
        try:
            with database.reading() as cursor:
                begun.set()
                cursor.execute("select count(*) from range(100000000) a, range(100000) b").fetchall()
        except StoreError as error:
            told.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert begun.wait(30)
    database.close()
    reader.join(30)
    assert len(told) == 1
    assert "nterrupted" in told[0] or "closed" in told[0]
    with pytest.raises(StoreError, match="the store is closed"):
        database.fetch(statement("storage"))
    Database(tmp_path).close()


def test_a_changed_migration_is_refused(tmp_path: Path) -> None:
    Database(tmp_path).close()
    with duckdb.connect(str(tmp_path / "plugwarden.duckdb")) as raw:
        raw.execute("update migrations set digest = 'x' where number = 1")
    with pytest.raises(StoreError, match="migration 1"):
        Database(tmp_path)


def test_minutes_keep_what_seconds_held(database: Database) -> None:
    connection = database.cursor()
    insert = (
        "insert into call_seconds values (?, 's', 'i', 'csv', '1', 'x', 'success', '', '', ?, ?, ?, ?, ?, ?, '', '', 0)"
    )
    for second in range(180):
        at = AT + timedelta(seconds=second)
        connection.execute(insert, [at, 3, 0.3, 0.2, 0.05, [second % 4, 9], [2, 1]])
    summary = (
        "select sum(calls), round(sum(duration_seconds_sum), 6), max(duration_seconds_max), round(sum(cpu_seconds), 6) "
        "from plugin_calls"
    )
    histogram = (
        "select index, sum(count) from (select unnest(bucket_index) as index, unnest(bucket_count) as count from call_rows) "
        "group by all order by all"
    )
    before = connection.execute(summary).fetchall(), connection.execute(histogram).fetchall()
    tiers = roll_up(connection, Tiers(), 0, AT + timedelta(seconds=250))
    assert tiers.minutes == AT + timedelta(minutes=3)
    assert connection.execute("select count(*) from call_minutes").fetchall() == [(3,)]
    assert (connection.execute(summary).fetchall(), connection.execute(histogram).fetchall()) == before
    tiers = retain(connection, tiers, AT + timedelta(hours=3), Keep())
    assert connection.execute("select count(*) from call_seconds").fetchall() == [
        (180,)
    ]  # a reader may still want them
    tiers = retain(connection, tiers, AT + timedelta(hours=3), Keep())
    assert connection.execute("select count(*) from call_seconds").fetchall() == [(0,)]
    assert (connection.execute(summary).fetchall(), connection.execute(histogram).fetchall()) == before
    tiers = roll_up(connection, tiers, 0, AT + timedelta(hours=1, minutes=5))
    assert connection.execute("select sum(calls) from call_hours").fetchall() == [(540,)]
    retain(connection, tiers, AT + timedelta(days=36), Keep())
    assert connection.execute("select count(*) from call_rows").fetchall() == [(0,)]
    assert connection.execute("select sum(calls) from call_hours").fetchall() == [(540,)]


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    command = collector_command("--data", str(tmp_path), *free)
    sent = 0
    for _ in range(3):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}
        )
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            for _ in range(10):
                body = request(20).SerializeToString()
                answer = httpx2.post(f"http://{ready['http']}/v1/traces", content=body, headers=PROTOBUF)
                sent += 20 if answer.status_code == 200 else 0
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    database = Database(tmp_path)
    assert sent == 600
    counted = run_query(database, "select count(*) as rows, count(distinct span_id) as spans from spans").table
    assert counted.to_pylist() == [{"rows": 600, "spans": 600}]
    database.close()


def test_a_resource_that_a_failed_commit_brought_is_stored_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = Committer._insert

    def broken(self: Committer, staging: str, *rest: Any) -> None:
        if staging == "incoming_requests":
            raise duckdb.IOException("the disk is full")
        insert(self, staging, *rest)

    with opened(tmp_path) as store:
        with monkeypatch.context() as patch:
            patch.setattr(Committer, "_insert", broken)
            with pytest.raises(StoreError, match="disk is full"):
                store.send(Signal.TRACES, traces(0, 1))
        for second in (2, 4):
            store.send(Signal.TRACES, traces(second, 1))
        joined = (
            "select count(*), count(distinct r.id) from span_rows as s join resource_rows as r on s.resource_id = r.id"
        )
        assert store.database.cursor().execute(joined).fetchall() == [(2, 1)]
