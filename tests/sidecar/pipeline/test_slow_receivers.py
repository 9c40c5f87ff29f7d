"""A receiver of telemetry that never ends its answer: the export thread gives it up as a whole, not byte by byte."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from plugwarden.pipeline.send import plain
from plugwarden.pipeline.send.plain import PlainSender
from plugwarden.pipeline.send.sender import Verdict
from plugwarden.pipeline.send.variables import read_target
from plugwarden.settings import Settings

PARTS = {
    "status": (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\nx: ", b"x"),
    "body": (b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"x"),
}


@contextmanager
def receiver(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[PlainSender]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer(self)

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    sender = PlainSender(read_target(Settings.load({}, endpoint=f"http://127.0.0.1:{server.server_port}"), "spans", {}))
    yield sender
    sender.shutdown()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("part", PARTS)
def test_an_answer_that_never_ends_is_given_up(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "REQUEST_TIMEOUT_SECONDS", 0.4)
    over = threading.Event()
    first, then = PARTS[part]

    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(first)
            while not over.wait(0.05):
                handler.wfile.write(then)
        except OSError:
            pass  # it hung up

    verdicts: list[Verdict] = []
    with receiver(drip) as sender:
        sending = threading.Thread(target=lambda: verdicts.append(sender.send(b"")), daemon=True)
        sending.start()
        sending.join(10)
        given_up = not sending.is_alive()
        over.set()
    assert given_up
    assert verdicts == [Verdict.RETRY]


def test_one_connection_is_kept_for_all_requests() -> None:
    ports: set[int] = set()

    def take(handler: BaseHTTPRequestHandler) -> None:
        ports.add(handler.client_address[1])
        handler.send_response(200)
        handler.send_header("content-length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    with receiver(take) as sender:
        assert [sender.send(b"x") for _ in range(5)] == [Verdict.TAKEN] * 5
    assert len(ports) == 1
