"""One connection over HTTP/1.1 that requests are posted on, by sockets alone.

`http.client` loads TLS and the parser of mail for each host, whether it sends over TLS or not, which costs a process more than all
that a sidecar sends in its life. What is asked for here is little: a status, and that an answer is there in time as a whole.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

__all__ = ["Connection", "UnexpectedAnswer"]

MAX_ANSWER_BYTES = 64 * 1024
"""What is read of an answer's head, and of its body: it says how many were rejected, and nothing acts on it."""
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: .*)?")
_ODD = re.compile(r"[^\x20-\x7e\x80-\xff\t]")
"""What would end a header, or is beyond what one can say."""
_WITHOUT_BODY = frozenset({204, 304})


class UnexpectedAnswer(OSError):
    """What the other side says is not HTTP, or too long."""


class Connection:
    """Connects with the first request. After an error, or an answer that ends it, `open` is False and another is needed."""

    def __init__(self, host: str, port: int | None, tls: ssl.SSLContext | None, timeout_seconds: float) -> None:
        self._host, self._tls, self._timeout_seconds = host, tls, timeout_seconds
        usual = 80 if tls is None else 443
        self._port = port or usual
        # A codec that is loaded when it is first asked for, which no name of plain letters needs (`PlainSender` loads it for others).
        plain = host if host.isascii() else host.encode("idna").decode("ascii")
        named = f"[{plain}]" if ":" in plain else plain
        self._named = named if self._port == usual else f"{named}:{self._port}"
        self._socket: socket.socket | None = None
        self._read = bytearray()

    @property
    def open(self) -> bool:
        """Whether another request may be posted on it."""
        return self._socket is not None

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Return the status of the answer. Raises `OSError`, a `TimeoutError` where the whole answer takes too long, and `ValueError` for
        a header that cannot be one."""
        head = self._head(path, headers, len(body))
        try:
            if self._socket is None:
                self._socket = self._connected()
            self._socket.settimeout(self._timeout_seconds)  # the answer before used some of it up
            self._socket.sendall(head + body)
            status, lasts = self._answer(time.monotonic() + self._timeout_seconds)
        except BaseException:
            self.close()
            raise
        if not lasts:
            self.close()
        return status

    def close(self) -> None:
        """Let it go."""
        held, self._socket = self._socket, None
        self._read.clear()
        if held is not None:
            with contextlib.suppress(OSError):
                held.close()

    def _head(self, path: str, headers: Mapping[str, str], length: int) -> bytes:
        if not path.isascii() or _ODD.search(path) or " " in path:
            raise UnexpectedAnswer(f"{path!r:.300} is no path of a request")
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {self._named}",
            "Accept-Encoding: identity",
            f"Content-Length: {length}",
        ]
        for name, told in headers.items():
            if _ODD.search(told) or not name or _ODD.search(name) or ":" in name or " " in name:
                raise ValueError(f"the header {name!r:.300} cannot be sent")
            lines.append(f"{name}: {told}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _connected(self) -> socket.socket:
        # A name as bytes is looked up as it stands; as a text, by a codec that nothing else needs.
        name: Any = self._host.encode("ascii") if self._host.isascii() else self._host
        made = socket.create_connection((name, self._port), self._timeout_seconds)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made if self._tls is None else self._tls.wrap_socket(made, server_hostname=self._host)
        except BaseException:
            made.close()
            raise

    def _answer(self, deadline: float) -> tuple[int, bool]:
        """The status, and whether the connection lasts; the body is read, or the connection does not."""
        status, version = 100, b"1"
        while 100 <= status < 200:  # until it is more than a word in between
            told = _STATUS.fullmatch(self._line(deadline, first=True))
            if told is None:
                raise UnexpectedAnswer("the answer is not HTTP/1.1")
            version, status, fields = told[1], int(told[2]), self._fields(deadline)
        said = fields.get(b"connection", b"").lower()
        lasts = b"close" not in said and (version == b"1" or b"keep-alive" in said)
        if status in _WITHOUT_BODY:
            return status, lasts
        if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            return status, self._skip_chunks(deadline) and lasts
        length = fields.get(b"content-length", b"")
        if not length.isdigit() or len(length) > 9:
            return status, False  # it goes on to the end of the connection, which is here
        return status, self._skip(int(length), deadline) and lasts

    def _fields(self, deadline: float) -> dict[bytes, bytes]:
        fields: dict[bytes, bytes] = {}
        left = MAX_ANSWER_BYTES
        while line := self._line(deadline):
            left -= len(line) + 2
            if left < 0:
                raise UnexpectedAnswer("the answer's head is too long")
            name, _, told = line.partition(b":")
            fields[name.strip().lower()] = told.strip()
        return fields

    def _skip_chunks(self, deadline: float) -> bool:
        left = MAX_ANSWER_BYTES
        while True:
            try:
                size = int(self._line(deadline).partition(b";")[0], 16)
            except ValueError:
                raise UnexpectedAnswer("the answer's chunks have no size") from None
            left -= size
            if size < 0 or left < 0:
                return False
            if size == 0:
                self._fields(deadline)  # what may follow the last
                return True
            if not self._skip(size + 2, deadline):
                return False

    def _skip(self, size: int, deadline: float) -> bool:
        """Whether so many bytes of a body were read; more than anybody needs to say are not."""
        if size > MAX_ANSWER_BYTES:
            return False
        while len(self._read) < size:
            self._receive(deadline)
        del self._read[:size]
        return True

    def _line(self, deadline: float, *, first: bool = False) -> bytes:
        while (end := self._read.find(b"\n")) < 0:
            if len(self._read) > MAX_ANSWER_BYTES:
                raise UnexpectedAnswer("a line of the answer is too long")
            self._receive(deadline, first=first and not self._read)
        line = bytes(self._read[:end]).rstrip(b"\r")
        del self._read[: end + 1]
        return line

    def _receive(self, deadline: float, *, first: bool = False) -> None:
        held, left = self._socket, deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        assert held is not None  # noqa: S101 - it is what the request was sent on
        held.settimeout(left)
        got = held.recv(16_384)
        if not got:
            if first:  # an idle connection that the other side had let go of before it could read this request
                raise ConnectionResetError("the other side closed the connection")
            raise UnexpectedAnswer("the answer ends early")
        self._read += got
