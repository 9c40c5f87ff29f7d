"""`POST /api/v1/query`: its answers, its seats, and readers that go away."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from plugwarden_collector.api import query_seats
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.api.routes import query
from plugwarden_collector.store import QueryStream
from plugwarden_collector.web.auth import TokenBook

from tests.collector.conftest import Running, running
from tests.collector.support.hostile_statements import ENDLESS
from tests.collector.support.waiting import eventually


def ask(collector: Running, sql: str, **more: Any) -> httpx2.Response:
    return httpx2.post(f"{collector.url}/api/v1/query", json={"sql": sql, **more}, timeout=30)


def metric(collector: Running, name: str) -> float:
    text = httpx2.get(f"{collector.url}/metrics", headers={"authorization": "Bearer " + "ann" * 8}).text
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)


def test_json_holds_every_type_safely(shared: Running) -> None:
    cells = {
        "9007199254740991::bigint": 9007199254740991,
        "9007199254740993::bigint": "9007199254740993",
        "170141183460469231731687303715884105727": "170141183460469231731687303715884105727",
        "sum(2::bigint)": 2,
        "1.50::decimal(10, 2)": 1.5,
        "1234567890123456.789::decimal(20, 3)": "1234567890123456.789",
        "'nan'::double": None,
        "'-inf'::double": None,
        "['nan'::double, 1]": [None, 1.0],
        "{'a': 'inf'::double, 'b': [9007199254740993]}": {"a": None, "b": ["9007199254740993"]},
        "map {'a': 1.5}": {"a": 1.5},
        "[map {1: 2}]": [{"1": 2}],
        "map {date '2026-01-01': 1}": {"2026-01-01": 1},
        "timestamp '2026-01-01 00:00:00.5'": "2026-01-01T00:00:00.500000Z",
        "timestamptz '2026-01-01 00:00:00+00'": "2026-01-01T00:00:00Z",
        "'infinity'::timestamp": None,
        "date '2026-01-01'": "2026-01-01",
        "time '10:00'": "10:00:00",
        "interval '1 month 2 days 3 seconds'": {"months": 1, "days": 2, "seconds": 3.0},
        "'ab'::blob": "6162",
        "true": True,
        "null": None,
        "'x'::enum('x')": "x",
        "union_value(k := 1)": 1,
    }
    answer = ask(shared, "select " + ", ".join(f"{sql} as a" for sql in cells))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["columns"] == ["a"] * len(cells)
    for (sql, expected), value in zip(cells.items(), found["rows"][0], strict=True):
        assert value == expected or sql == "'infinity'::timestamp", sql
    assert found["truncated"] is False
    assert found["elapsed_ms"] > 0


def test_arrow_says_at_its_end_how_it_went(shared: Running) -> None:
    table = shared.api.query("from range(100000)", limit=100_000)
    assert (len(table), table.schema.metadata[b"truncated"]) == (100_000, b"false")
    table = shared.api.query("from range(100000)", limit=99_999)
    assert (len(table), table.schema.metadata[b"truncated"]) == (99_999, b"true")
    empty = shared.api.query("select map {'a': [1]} as m, union_value(k := 1) as u, 'x'::enum('x') as e where false")
    assert (len(empty), empty.column_names) == (0, ["m", "u", "e"])
    with shared.api.stream("from range(40000)") as rows:
        assert sum(len(batch) for batch in rows) == 40_000
        assert rows.elapsed_ms is not None
    with (
        pytest.raises(ApiError, match=r"took too long.*interrupted after 0.3 s"),
        shared.api.stream(
            f"select a from range(100000) t(a) union all ({ENDLESS})",
            timeout_seconds=0.3,
        ) as rows,
    ):
        for _ in rows:
            pass
    with (
        pytest.raises(ApiError, match=r"failed under way.*convert"),
        shared.api.stream("select if(a < 20000000, '1', 'x')::integer from range(20000001) t(a)") as rows,
    ):
        for _ in rows:
            pass


def test_the_answer_begins_before_the_query_ends(collector: Running) -> None:
    with collector.api.stream("from range(1000000000)", timeout_seconds=30) as rows:
        assert len(next(iter(rows))) > 0
        assert metric(collector, "plugwarden_queries_running") == 1
    eventually(lambda: metric(collector, "plugwarden_queries_running") == 0)


@pytest.mark.parametrize("accept", ["application/json", query.ARROW])
def test_a_reader_that_goes_ends_its_query(collector: Running, accept: str) -> None:
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(
            f"{collector.url}/api/v1/query",
            json={"sql": ENDLESS, "timeout_seconds": 300},
            headers={"accept": accept},
            timeout=0.5,
        )
    eventually(lambda: metric(collector, 'plugwarden_queries_total{result="abandoned"}') == 1)
    eventually(lambda: metric(collector, "plugwarden_queries_running") == 0)


def test_a_reader_that_does_not_read_loses_its_seat(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "GRACE_SECONDS", 0.2)
    assert ask(collector, "select repeat('x', 3)").status_code == 200  # the processes of readers are there
    body = {"sql": "select repeat('x', 1000) from range(100000000)", "limit": 100_000_000, "timeout_seconds": 0.5}
    with httpx2.stream(
        "POST", f"{collector.url}/api/v1/query", json=body, headers={"accept": query.ARROW}, timeout=30
    ) as answer:
        assert answer.status_code == 200
        eventually(lambda: metric(collector, "plugwarden_queries_running") == 0)
    assert collector.scalar("select 1") == 1


def test_a_full_line_answers_503_and_counts(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_seats, "WAITING", 1)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, collector, ENDLESS, timeout_seconds=2.0) for _ in range(3)]
        eventually(lambda: metric(collector, "plugwarden_queries_waiting") == 1)
        refused = ask(collector, "select 1")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert refused.headers["content-type"] == "application/problem+json"
        statuses = [item.result().status_code for item in asked]
    assert statuses == [504, 504, 504]
    assert metric(collector, 'plugwarden_queries_total{result="busy"}') == 1
    assert metric(collector, 'plugwarden_queries_total{result="timed_out"}') == 3


TWO = "".join(f"{name} read {name * 8}\n" for name in ("ann", "bob"))
TOKENS = TokenBook(tuple((name, frozenset({"read"}), name * 8) for name in ("ann", "bob")))


def asks(url: str, name: str, sql: str, **more: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {name * 8}"}
    return httpx2.post(f"{url}/api/v1/query", json={"sql": sql, **more}, headers=headers, timeout=30)


def test_one_caller_leaves_a_seat_and_room_in_the_line_for_another(
    tmp_path: Path, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_seats, "WAIT_SECONDS", 30.0)
    (tmp_path / "tokens").write_text(TWO)
    two = str(tmp_path / "tokens")
    with running(tmp_path / "data", rules, PLUGWARDEN_TOKENS_FILE=two) as found, ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(asks, found.url, "ann", ENDLESS, timeout_seconds=3.0) for _ in range(query_seats.OF_CALLER)
        ]
        eventually(lambda: metric(found, "plugwarden_queries_running") == query_seats.OF_CALLER)
        waiting = range(query_seats.WAITING_OF_CALLER)  # their turn may be short: what counts is that it comes
        asked += [pool.submit(asks, found.url, "ann", ENDLESS, timeout_seconds=0.2) for _ in waiting]
        eventually(lambda: metric(found, "plugwarden_queries_waiting") == query_seats.WAITING_OF_CALLER)
        assert metric(found, "plugwarden_queries_running") == query_seats.OF_CALLER
        refused = asks(found.url, "ann", "select 1")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert refused.headers["content-type"] == "application/problem+json"
        assert "a token of its own" in refused.json()["detail"]
        answer = asks(found.url, "bob", "select 1 as one")
        assert (answer.status_code, answer.json()["rows"]) == (200, [[1]])
        assert metric(found, 'plugwarden_queries_total{result="too_many"}') == 1
        assert [item.result().status_code for item in asked] == [504] * len(asked)
        assert asks(found.url, "ann", "select 1").status_code == 200


def test_who_waits_for_its_own_queries_in_vain_is_told_so(
    tmp_path: Path, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_seats, "WAIT_SECONDS", 0.3)
    (tmp_path / "tokens").write_text(TWO)
    two = str(tmp_path / "tokens")
    with running(tmp_path / "data", rules, PLUGWARDEN_TOKENS_FILE=two) as found, ThreadPoolExecutor(2) as pool:
        asked = pool.submit(asks, found.url, "ann", ENDLESS, timeout_seconds=3.0)
        eventually(lambda: metric(found, "plugwarden_queries_running") == 1)
        refused = asks(found.url, "ann", "select 1")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert "your own queries" in refused.json()["detail"]
        assert asks(found.url, "bob", "select 1").status_code == 200
        assert asked.result().status_code == 504


def test_callers_are_told_apart_by_token_then_by_address_and_on_this_machine_by_nothing() -> None:
    ann = TOKENS.principal("Bearer " + "ann" * 8)
    assert ann is not None
    assert TOKENS.caller(ann, "10.0.0.1") == "ann"
    single = TokenBook((("operator", frozenset({"admin"}), "o" * 16), ("host", frozenset({"ingest"}), "h" * 16)))
    operator = single.principal("Bearer " + "o" * 16)
    assert operator is not None
    assert single.caller(operator, "10.0.0.1") == "10.0.0.1"
    assert single.caller(operator, "127.0.0.1") is None
    assert TokenBook(()).caller(TokenBook.LOCAL, "127.0.0.1") is None


def test_a_step_that_hears_no_interrupt_does_not_keep_its_caller(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(query, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(QueryStream, "open", lambda self: released.wait(30))
    answer = ask(collector, "select 1", timeout_seconds=0.2)
    assert (answer.status_code, metric(collector, "plugwarden_queries_running")) == (504, 1)
    released.set()
    eventually(lambda: metric(collector, "plugwarden_queries_running") == 0)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"sql": "select 1", "limit": 100_001}, "JSON answer"),
        ({"sql": "select 1", "limit": 0}, "limit"),
        ({"sql": "select 1", "timeout_seconds": 301}, "timeout_seconds"),
        ({"sql": "select 1", "more": 1}, "more"),
        ({"sql": ""}, "sql"),
        ({"sql": "select 1", "params": 3}, "params"),
    ],
)
def test_a_wrong_request_names_its_field(shared: Running, body: dict[str, Any], word: str) -> None:
    answer = httpx2.post(f"{shared.url}/api/v1/query", json=body)
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"sql": "select $a", "params": {}},
        {"sql": "select $a", "params": {"b": 1}},
        {"sql": "select ?", "params": [1, 2]},
        {"sql": "select $a, ?", "params": {"a": 1}},
        {"sql": "select $a::integer", "params": {"a": [[1]]}},
        {"sql": "select $a", "params": {"a": 10**400}},
        {"sql": "select 'infinity'::timestamp / 0"},
        {"sql": "select \ud800"},
    ],
)
def test_wrong_values_are_answered_with_400(shared: Running, body: dict[str, Any]) -> None:
    answer = httpx2.post(f"{shared.url}/api/v1/query", content=json.dumps(body).encode())
    assert answer.status_code in (400, 422), answer.text
