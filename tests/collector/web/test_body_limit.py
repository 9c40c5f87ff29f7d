"""Bodies of requests to the API: refused above a limit that the answer names, declared or not, and never waited for without end."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from plugwarden_collector.web import body_limit, exchange
from plugwarden_collector.web.body_limit import ALERTS_BYTES, BODY_BYTES
from plugwarden_collector.web.encoding import MAX_BODY_BYTES

from tests.collector.conftest import Running, running
from tests.collector.support.waiting import eventually

PIECE = b" " * 65_536
LOCAL_ROUTES = ["/api/v1/query", "/api/v1/silences", "/api/v1/quarantine", "/api/v1/automation", "/no/such/route"]


def pieces(size: int, begin: bytes = b"") -> Iterator[bytes]:
    """A body in chunks, without a length declared before it."""
    yield begin
    for _ in range((size - len(begin)) // len(PIECE)):
        yield PIECE
    yield b" " * ((size - len(begin)) % len(PIECE))


def refused(answer: httpx2.Response, limit: int) -> None:
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["title"]) == (413, "the body is too large")
    assert str(limit) in document["detail"]


@pytest.mark.parametrize("path", LOCAL_ROUTES)
def test_a_body_above_the_limit_is_refused_with_the_limit(shared: Running, path: str) -> None:
    refused(httpx2.post(shared.url + path, content=b" " * (BODY_BYTES + 1)), BODY_BYTES)


def test_so_is_one_that_declares_no_length(shared: Running) -> None:
    refused(httpx2.post(f"{shared.url}/api/v1/query", content=pieces(BODY_BYTES + 1)), BODY_BYTES)


def test_a_declared_length_is_refused_before_the_body_comes(shared: Running) -> None:
    address = shared.collector.api
    with socket.create_connection((address.host, address.port), timeout=20) as client:
        client.sendall(
            b"POST /api/v1/query HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: 99999999999\r\n\r\n"
        )
        assert client.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_an_endless_body_ends(shared: Running) -> None:
    """The answer comes while the client still sends, and the connection is closed under it."""
    address = shared.collector.api
    chunk = b"10000\r\n" + PIECE + b"\r\n"
    with socket.create_connection((address.host, address.port), timeout=20) as client:
        client.sendall(b"POST /api/v1/query HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            client.sendall(chunk * (4 * MAX_BODY_BYTES // len(PIECE)))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_at_the_limit_is_read(shared: Running, chunked: bool) -> None:
    body = json.dumps({"sql": "select 42 as answer"}).encode()
    whole = b"".join(pieces(BODY_BYTES, body))
    assert len(whole) == BODY_BYTES
    answer = httpx2.post(
        f"{shared.url}/api/v1/query",
        content=pieces(BODY_BYTES, body) if chunked else whole,
        headers={"content-type": "application/json"},
    )
    assert answer.json()["rows"] == [[42]]


def test_the_longest_statement_fits_however_json_writes_it(shared: Running) -> None:
    sql = "select length('" + "\N{JIGSAW PUZZLE PIECE}" * 99_000 + "')"
    body = json.dumps({"sql": sql}).encode()
    assert len(body) > 1_000_000
    answer = httpx2.post(
        f"{shared.url}/api/v1/query", content=body, headers={"content-type": "application/json"}, timeout=30
    )
    assert answer.json()["rows"] == [[99_000]]


def test_alerts_may_be_larger_and_have_a_limit_too(shared: Running, name: str) -> None:
    texts = {"description": "x" * 10_000}
    alerts = [
        {"labels": {"alertname": name, "i": str(i)}, "annotations": texts} for i in range(BODY_BYTES // 10_000 + 1)
    ]
    assert httpx2.post(f"{shared.url}/api/v2/alerts", json=alerts).status_code == 200
    refused(httpx2.post(f"{shared.url}/api/v1/pushed/alertmanager", content=pieces(ALERTS_BYTES + 1)), ALERTS_BYTES)
    answer = httpx2.post(f"{shared.url}/api/v2/alerts", content=pieces(ALERTS_BYTES + 1))
    assert (answer.status_code, str(ALERTS_BYTES) in answer.json()) == (413, True)


def test_a_body_that_does_not_come_is_given_up(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_SECONDS", 0.2)
    address = shared.collector.api
    with socket.create_connection((address.host, address.port), timeout=20) as client:
        client.sendall(b"POST /api/v1/query HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{")
        assert client.recv(65_536).startswith(b"HTTP/1.1 408 ")


def test_refusals_are_counted(shared: Running) -> None:
    def count() -> float:
        lines = httpx2.get(f"{shared.url}/metrics").text.splitlines()
        found: list[Any] = [
            line for line in lines if line.startswith("plugwarden_api_requests_total{") and '"413"' in line
        ]
        return sum(float(line.split()[-1]) for line in found)

    before = count()
    httpx2.post(f"{shared.url}/api/v1/query", content=b" " * (BODY_BYTES + 1))
    eventually(lambda: count() == before + 1)  # it is counted once it is answered


def test_strangers_together_hold_no_more_than_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "IN_HAND_BYTES", 3 * len(PIECE))
    with running(tmp_path) as collector, ExitStack() as stack:
        host, port = collector.url.removeprefix("http://").split(":")
        clients = [stack.enter_context(socket.create_connection((host, int(port)), timeout=20)) for _ in range(4)]
        for client in clients:
            client.sendall(
                b"POST /api/v1/query HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                b"content-length: 1000000\r\n\r\n" + PIECE
            )
            time.sleep(0.2)
        assert clients[3].recv(12) == b"HTTP/1.1 503"
        for client in clients:
            client.close()
        until = time.monotonic() + 20
        while httpx2.post(f"{collector.url}/api/v1/query", json={"sql": "select 1"}).status_code != 200:
            assert time.monotonic() < until, "what those held is not given back"
            time.sleep(0.1)
