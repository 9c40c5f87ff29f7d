"""One connection over HTTP/1.1: what is posted on it, and what it makes of answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from plugwarden.pipeline.send.connection import MAX_ANSWER_BYTES, Connection, UnexpectedAnswer


class Receiver:
    """Answers requests on one connection after another with given bytes; None closes without a word."""

    def __init__(self, answers: list[list[bytes | None]], pause_seconds: float = 0.0) -> None:
        self.got: list[bytes] = []
        self._answers, self._pause_seconds = answers, pause_seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):  # who asked has had enough, and closes
            self._serve()

    def _serve(self) -> None:
        for answers in self._answers:
            held, _ = self._listener.accept()
            with held:
                for answer in answers:
                    if answer is None or not self._take(held):
                        break
                    for number in range(0, len(answer), 7 if self._pause_seconds else len(answer)):
                        held.sendall(answer[number : number + (7 if self._pause_seconds else len(answer))])
                        time.sleep(self._pause_seconds)

    def _take(self, held: socket.socket) -> bool:
        request = b""
        while b"\r\n\r\n" not in request:
            more = held.recv(65_536)
            if not more:
                return False
            request += more
        head, _, body = request.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += held.recv(65_536)
        self.got.append(head + b"\r\n\r\n" + body)
        return True

    def close(self) -> None:
        self._listener.close()


@contextmanager
def receiving(
    *answers: list[bytes | None], pause_seconds: float = 0.0, timeout_seconds: float = 10.0
) -> Iterator[tuple[Receiver, Connection]]:
    receiver = Receiver(list(answers), pause_seconds)
    connection = Connection("127.0.0.1", receiver.port, None, timeout_seconds)
    try:
        yield receiver, connection
    finally:
        connection.close()
        receiver.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_request_says_what_it_has_to() -> None:
    with receiving([OK]) as (receiver, connection):
        assert connection.post("/v1/traces?x=1", {"authorization": "Basic é"}, b"body") == 200
        head, _, body = receiver.got[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /v1/traces?x=1 HTTP/1.1"
        assert f"Host: 127.0.0.1:{receiver.port}".encode() in lines
        assert b"Content-Length: 4" in lines
        assert "authorization: Basic é".encode("latin-1") in lines
        assert body == b"body"


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200\r\ncontent-length:0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 1\n\nx",
    ],
)
def test_a_connection_whose_answer_is_whole_is_used_again(answer: bytes) -> None:
    with receiving([answer, answer]) as (receiver, connection):
        for _ in range(2):
            assert connection.post("/", {}, b"x") in {200, 204}
            assert connection.open
        assert len(receiver.got) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.0 503 No\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 503 No\r\n\r\nto the end",
        b"HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\nx" % (MAX_ANSWER_BYTES + 1),
        b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
    ],
)
def test_a_connection_that_ends_with_its_answer_is_let_go(answer: bytes) -> None:
    with receiving([answer]) as (_, connection):
        assert connection.post("/", {}, b"x") == 503
        assert not connection.open


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
        b"x" * (2 * MAX_ANSWER_BYTES),
    ],
)
def test_what_is_no_answer_is_an_error_and_ends_it(answer: bytes) -> None:
    with receiving([answer]) as (_, connection):
        with pytest.raises(UnexpectedAnswer):
            connection.post("/", {}, b"x")
        assert not connection.open


def test_a_connection_that_was_let_go_of_while_idle_says_so() -> None:
    with receiving([OK, None]) as (_, connection):
        assert connection.post("/", {}, b"x") == 200
        with pytest.raises(ConnectionError):
            connection.post("/", {}, b"x")
        assert not connection.open


def test_an_answer_that_drips_is_not_waited_for_beyond_its_time() -> None:
    with (
        receiving([OK * 100], pause_seconds=0.05, timeout_seconds=0.2) as (_, connection),
        pytest.raises(TimeoutError),
    ):
        connection.post("/", {}, b"x")


@pytest.mark.parametrize(("name", "told"), [("a", "b\r\nc: d"), ("a\n", "b"), ("a b", "c"), ("", "c"), ("a", "\u20ac")])
def test_what_cannot_be_a_header_is_not_sent(name: str, told: str) -> None:
    connection = Connection("127.0.0.1", 1, None, 1.0)
    with pytest.raises(ValueError, match="cannot be sent"):
        connection.post("/", {name: told}, b"")


@pytest.mark.parametrize("path", ["/a b", "/a\r\nx", "/é"])
def test_what_cannot_be_a_path_is_not_sent(path: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        Connection("127.0.0.1", 1, None, 1.0).post(path, {}, b"")


@pytest.mark.parametrize(
    ("host", "port", "named"),
    [
        ("::1", 4318, "[::1]:4318"),
        ("example.org", None, "example.org"),
        ("example.org", 80, "example.org"),
        ("bücher.example", 81, "xn--bcher-kva.example:81"),
    ],
)
def test_a_host_is_named_as_http_has_it(host: str, port: int | None, named: str) -> None:
    assert f"\r\nHost: {named}\r\n".encode() in Connection(host, port, None, 1.0)._head("/", {}, 0)
