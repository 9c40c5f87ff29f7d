"""An HTTP response that has to be there by a time as a whole: a time-out of the socket begins anew with every byte."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

__all__ = ["TimedResponse"]


class TimedResponse(http.client.HTTPResponse):
    """`deadline` is monotonic seconds; past it reading raises `TimeoutError`. It leaves the socket with less of a time-out."""

    def __init__(self, sock: socket.socket, *more: Any, deadline: float, **options: Any) -> None:
        super().__init__(sock, *more, **options)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp, deadline))


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, held: io.BufferedIOBase, deadline: float) -> None:
        self._sock = sock
        self._held = held
        """The connection may let go of its socket before the body is read; this keeps it open."""
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._held.close()
        super().close()
