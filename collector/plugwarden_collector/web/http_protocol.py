"""HTTP/1.1 whose patience ends: uvicorn waits for the head of a request for as long as a client likes, and keeps all of it."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HANG_UP", "HEAD_SECONDS", "MAX_HEAD_BYTES", "ObligingProtocol", "PatientProtocol"]

HANG_UP = "plugwarden.hang_up"
"""In the scope of a request: ends its connection at once, also one whose reader takes nothing of what was written."""

HEAD_SECONDS = 20.0
"""Seconds from the connection, or the first byte of a further request, until the head of the request is complete."""
MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a head, and of trailers, which nobody reads. The parser has no limit of its own; 64 KiB is what h11 and uvicorn take."""


class PatientProtocol(HttpToolsProtocol):
    """Closes connections whose request does not come, or whose head has no end; bodies have limits of their own (`exchange`)."""

    _limit: asyncio.TimerHandle | None = None
    _gained_nothing: int = 0
    """Bytes since the last that ended a head or belonged to a body."""
    _in_head: bool = True

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Open(transport))  # type: ignore[arg-type]
        self._start()

    def data_received(self, data: bytes) -> None:
        self._gained_nothing += len(data)
        super().data_received(data)
        if self._gained_nothing > MAX_HEAD_BYTES:
            if not self.transport.is_closing():
                self.send_400_response(f"more than {MAX_HEAD_BYTES} bytes of headers")
            return
        if self.cycle is None or self.cycle.response_complete:
            self._start()
        else:
            self._stop()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()
        self.scope[HANG_UP] = self.transport.abort  # type: ignore[literal-required]

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer must not pass for a header (RFC 9110, 6.5.1)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._gained_nothing = 0
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._gained_nothing = 0
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        if self._limit is None:  # further bytes buy no more time
            self._limit = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


class ObligingProtocol(PatientProtocol):
    """Answers those as well who close their side once they have sent all. Not for answers that wait for news: who asked for those
    and is gone is known by nothing else."""

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open for the answer."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True


class _Open:
    """A transport that may be written to until the end: uvloop raises where asyncio writes into the void, and a client that hangs
    up is nothing to log."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
