"""SQL from a grammar of hostile statements: every one is answered or refused, and nothing changes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugwarden_collector.store import Database, run_query

from tests.collector.conftest import Running
from tests.collector.support.fuzz_statements import ALLOWED, attempt, contents
from tests.collector.support.sql_grammar import HOSTILE_PATH, statement
from tests.share import repetitions


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database(tmp_path_factory.mktemp("fuzzed"))
    opened.cursor().execute(
        "insert into changes select now()::timestamp, 'test', 'csv', '1', null, 'x' || range from range(50); checkpoint"
    )
    run_query(opened, "select 1")
    yield opened
    opened.close()


@given(st.integers(min_value=0))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_any_statement_is_answered_or_refused(database: Database, seed: int) -> None:
    assert attempt(database, statement(Random(seed))) in ALLOWED


@given(st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
def test_any_text_is_answered_or_refused(database: Database, sql: str) -> None:
    assert attempt(database, sql) in ALLOWED


def test_statements_change_nothing(database: Database) -> None:
    before, threads = contents(database), set(threading.enumerate())
    made = repetitions(1000)
    results = Counter(attempt(database, statement(Random(seed))) for seed in range(made))
    assert contents(database) == before
    assert not Path(HOSTILE_PATH).exists()
    assert results["answered"] > made / 20, results  # else the grammar tests the parser alone
    assert results["refused"] > made * 0.3, results
    assert len(set(threading.enumerate()) - threads) <= 1, "those of other tests that end meanwhile hide none"


def test_over_http_none_of_them_is_a_500(collector: Running) -> None:
    with httpx2.Client(base_url=collector.url, timeout=30) as http:
        for seed in range(1000, 1200):
            body = {"sql": statement(Random(seed)), "limit": 20, "timeout_seconds": 0.5, "params": {"a": 1}}
            for accept in ("application/json", "application/vnd.apache.arrow.stream"):
                answer = http.post("/api/v1/query", json=body, headers={"accept": accept})
                assert answer.status_code in (200, 400, 422, 504), (body["sql"], answer.text)
    assert collector.scalar("select 1") == 1
