"""Acts of people have threads of their own: however many readers wait, a quarantine is made and ended."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from plugwarden_collector.api import parts, query_seats
from plugwarden_collector.store import Ledger

from tests.collector.conftest import Running
from tests.collector.support.hostile_statements import ENDLESS
from tests.collector.support.waiting import eventually

from .test_query_route import ask, metric

READERS = 50


def act(collector: Running) -> int:
    body = {"plugin": "csv", "reason": "it breaks things", "force": True}
    made = httpx2.post(f"{collector.url}/api/v1/quarantine", json=body, timeout=20)
    assert made.status_code == 201, made.text
    url = f"{collector.url}/api/v1/quarantine/{made.json()['id']}/release"
    return httpx2.post(url, json={"reason": "it was not"}, timeout=20).status_code


def test_fifty_readers_that_hold_every_thread_keep_no_act_waiting(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, real = threading.Event(), collector.collector.ledger.changes
    stuck: list[str] = []

    def slow(ledger: Ledger) -> Any:
        stuck.append("changes")
        go.wait(60)
        return real()

    monkeypatch.setattr(type(collector.collector.ledger), "changes", slow)
    with ThreadPoolExecutor(READERS) as pool:
        asked = [pool.submit(httpx2.get, f"{collector.url}/api/v1/changes", timeout=60) for _ in range(READERS)]
        try:
            eventually(lambda: len(stuck) >= parts.READ_THREADS)
            assert act(collector) == 200
            assert not any(item.done() for item in asked)
        finally:
            go.set()
        assert [item.result().status_code for item in asked] == [200] * READERS


def test_fifty_statements_keep_no_act_waiting(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        query_seats, "WAIT_SECONDS", 1.0
    )  # those without a seat give up, and need none when the act is done
    with ThreadPoolExecutor(READERS) as pool:
        asked = [pool.submit(ask, collector, ENDLESS, timeout_seconds=2.0) for _ in range(READERS)]
        eventually(lambda: metric(collector, "plugwarden_queries_running") == query_seats.AT_ONCE)
        assert act(collector) == 200
        assert {item.result().status_code for item in asked} <= {503, 504}


def test_a_line_of_readers_has_an_end(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    go, real = threading.Event(), collector.collector.ledger.changes
    monkeypatch.setattr(type(collector.collector.ledger), "changes", lambda ledger: go.wait(60) and real())
    most = parts.READ_THREADS + parts.WAITING
    with ThreadPoolExecutor(most + 1) as pool:
        asked = [pool.submit(httpx2.get, f"{collector.url}/api/v1/changes", timeout=60) for _ in range(most + 1)]
        eventually(lambda: any(item.done() for item in asked))
        go.set()
        answers = [item.result() for item in asked]
    refused = [item for item in answers if item.status_code == 503]
    assert len(refused) >= 1
    assert all(item.headers["retry-after"] == "2" for item in refused)
