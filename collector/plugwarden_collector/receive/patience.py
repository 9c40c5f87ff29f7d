"""HTTP/1.1 whose patience ends: uvicorn waits for the head of a request for as long as a client likes."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HEAD_SECONDS", "PatientProtocol"]

HEAD_SECONDS = 20.0
"""From the connection, or the first byte of a further request, until the head of the request is complete."""


class PatientProtocol(HttpToolsProtocol):
    """Closes connections whose request does not come; bodies have a limit of their own (`exchange`)."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._start()
        else:
            self._stop()

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
