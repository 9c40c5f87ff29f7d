"""No statement of a reader ends the collector, holds a seat beyond its time, or keeps other readers from being served."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from plugwarden_collector.command.processes import collector_process
from plugwarden_collector.errors import QueryCancelledError, QueryError, StoreError
from plugwarden_collector.memory import VARIABLE, memory_from
from plugwarden_collector.store import Database, QueryStream, run_query
from plugwarden_collector.store.answer import collect
from plugwarden_collector.store.duckdb.query.reader.confine import resident_bytes
from plugwarden_collector.store.duckdb.query.reader.pool import ReaderPool

from tests.collector.support.hostile_statements import HOSTILE

SECONDS = 1.0
CONTAINER = "2GB"
"""What compose.yaml gives the collector, its reader processes included."""


class Apart:
    """A collector in a process of its own, which a statement could end."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    def ask(self, sql: str, **more: Any) -> httpx2.Response:
        return httpx2.post(f"{self.url}/api/v1/query", json={"sql": sql, **more}, timeout=60)


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    with collector_process("--data", str(tmp_path_factory.mktemp("hostile")), *free, PLUGWARDEN_MEMORY=CONTAINER) as (
        process,
        ready,
    ):
        yield Apart(process, f"http://{ready['api']}")
    if process.stdout is not None:
        process.stdout.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_statement_ends_within_its_limits(apart: Apart, name: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(apart.ask, HOSTILE[name], timeout_seconds=SECONDS, limit=1000)
        other = apart.ask("select count(*) from spans")
        answer = asked.result()
    assert (other.status_code, other.json()["rows"]) == (200, [[0]])
    assert answer.status_code in (200, 400, 422, 504), answer.text[:300]
    assert apart.process.poll() is None
    parts = memory_from({VARIABLE: CONTAINER})
    assert resident_bytes(apart.process.pid) < parts.total_bytes - 2 * parts.reader_bytes
    if answer.status_code == 400:
        assert "INTERNAL" not in answer.text


def test_most_of_them_are_more_than_a_reader_may_have() -> None:
    assert len(HOSTILE) >= 70


def test_a_process_that_dies_is_an_error_for_its_reader_alone(database: Database) -> None:
    pool = ReaderPool(1)
    try:
        for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL):
            stream = QueryStream(
                database, "select list(range) from range(1000000000)", timeout_seconds=30, max_bytes=10, pool=pool
            )
            began = threading.Timer(0.3, lambda number=number: [os.kill(pid, number) for pid in pool.pids()])
            began.start()
            with pytest.raises(QueryError, match=r"more memory|ended the process that ran it"):
                collect(stream)
            began.join()
            again = QueryStream(database, "select max(md5(range::varchar)) as a from range(3)", pool=pool)
            assert len(collect(again).table) == 1
        assert sum(pool.ended.values()) >= 3
    finally:
        pool.close()


def test_a_statement_that_is_cancelled_is_gone_at_once(database: Database) -> None:
    pool = ReaderPool(1)
    stream = QueryStream(database, "select sha256(string_agg(range::varchar)) from range(1000000000)", pool=pool)
    try:
        threading.Timer(0.3, stream.cancel).start()
        with pytest.raises(QueryCancelledError):
            collect(stream)
        assert pool.ended["cancelled"] == 1
    finally:
        pool.close()


def test_reader_processes_end_with_their_pool(database: Database) -> None:
    pool = ReaderPool(2)
    collect(QueryStream(database, "select 1 as a", pool=pool))
    pids = pool.pids()
    assert len(pids) == 2
    pool.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    with pytest.raises(StoreError, match="stopping"):
        collect(QueryStream(database, "select 1 as a", pool=pool))


def test_a_reader_process_has_no_secret_no_file_and_no_network(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PLUGWARDEN_TOKEN", "a-secret")
    pool = ReaderPool(1)
    try:
        collect(QueryStream(database, "select 1 as a", pool=pool))
        (pid,) = pool.pids()
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"a-secret" not in environ
        assert b"PLUGWARDEN" not in environ
        opened = [str(item.readlink()) for item in Path(f"/proc/{pid}/fd").iterdir()]
        assert not any(str(database.path) in name for name in opened), opened
        assert sum(name.startswith("socket:") for name in opened) == 1
        limits = Path(f"/proc/{pid}/limits").read_text("ascii")
        assert "Max file size             0 " in limits
        assert "Max address space         unlimited" not in limits
    finally:
        pool.close()


def test_a_long_answer_of_a_process_is_whole_and_in_order(database: Database) -> None:
    sql = "select range as n, repeat('x', 1000) as x, [range, range] as l from range(100000)"
    answer = run_query(database, sql, limit=50_000)
    assert answer.truncated
    assert answer.table.column("n").to_pylist() == list(range(50_000))
