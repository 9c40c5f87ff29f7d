"""One HTTP request and its answer: the body within limits of size and time, errors in the request's own encoding."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from plugwarden_collector.errors import PayloadTooLargeError
from plugwarden_collector.receive.responses import Refusal, status_of

from .byte_budget import Hold
from .encoding import MAX_BODY_BYTES

__all__ = ["JSON", "PROTOBUF", "Exchange", "GoneError", "LateError"]

PROTOBUF, JSON = "application/x-protobuf", "application/json"
BODY_SECONDS = 30.0
"""Seconds after which a body that has not arrived is given up, and its connection closed."""
DRAIN_SECONDS = 5.0
"""Seconds that a refused body is read on: were it closed at once, the client would see a reset and not the answer."""


class GoneError(Exception):
    """The client hung up before its body was complete."""


class LateError(Exception):
    """The body did not arrive in time."""


class Exchange:
    """What is asked over HTTP, and the one answer to it."""

    def __init__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        self._receive, self._send = receive, send
        self.headers: Sequence[tuple[bytes, bytes]] = tuple(scope["headers"])
        """As they were sent."""
        self._headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            # A header given twice is one list (RFC 9110, 5.3), which none of ours may be: it will not be known.
            self._headers[name] = self._headers[name] + b", " + value if name in self._headers else value
        self.method: str = scope["method"]
        self.kind = self.header("content-type").partition(";")[0].strip().lower()
        declared = self.header("content-length")
        self.declared_bytes = int(declared) if declared.isascii() and declared.isdigit() else 0
        self._unread = self.declared_bytes > 0 or b"transfer-encoding" in self._headers

    def header(self, name: str) -> str:
        """A request header; an empty string where it is missing."""
        return self._headers.get(name.encode(), b"").decode("latin-1").strip()

    @property
    def unread(self) -> bool:
        """Whether the client has more to send, as far as it has told."""
        return self._unread

    async def body(self, hold: Hold, limit: int = MAX_BODY_BYTES) -> bytes:
        """All of the body; raises `PayloadTooLargeError`, `BusyError`, `LateError` and `GoneError`."""
        if self.declared_bytes > limit:
            raise PayloadTooLargeError(f"larger than {limit} bytes; send smaller batches")
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while self._unread or not parts:
                    part = await self._part()
                    hold.grow(len(part))
                    if hold.nbytes > limit:
                        raise PayloadTooLargeError(f"larger than {limit} bytes; send smaller batches")
                    parts.append(part)
        except TimeoutError as error:
            raise LateError(f"the body did not arrive within {BODY_SECONDS:.0f} s; send it again") from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        self._unread = message.get("more_body", False)
        return bytes(message.get("body", b""))

    async def succeed(self, message: Any) -> None:
        """200 with a response message."""
        body = message.SerializeToString() if self.kind == PROTOBUF else _json(message)
        await self.answer(200, body, [("content-type", self.kind)])

    async def refuse(self, refusal: Refusal) -> None:
        """A google.rpc.Status; in JSON for those who sent neither of our media types."""
        kind = PROTOBUF if self.kind == PROTOBUF else JSON
        status = status_of(refusal)
        headers = [("content-type", kind)]
        if refusal.retry_seconds is not None:
            headers.append(("retry-after", str(refusal.retry_seconds)))
        if refusal.hint is not None:
            headers.append(refusal.hint)
        await self.answer(refusal.http, status.SerializeToString() if kind == PROTOBUF else _json(status), headers)

    async def answer(self, status: int, body: bytes, headers: Sequence[tuple[str, str]]) -> None:
        """Send status, headers and body; what the client has not sent yet is then read and thrown away, for a while."""
        raw = [(name.encode(), value.encode()) for name, value in headers]
        if status != 204:  # which has no body to give a length of (RFC 9110, 8.6)
            raw.append((b"content-length", str(len(body)).encode()))
        if self._unread:
            raw.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": raw})
        if self._unread:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            await self._drain()
            body = b""
        await self._send({"type": "http.response.body", "body": body})

    async def _drain(self) -> None:
        seen = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._unread and seen <= MAX_BODY_BYTES:
                    seen += len(await self._part())
        except (GoneError, TimeoutError):
            pass  # it has the answer, or does not want it


def _json(message: Any) -> bytes:
    return str(json_format.MessageToJson(message, indent=None)).encode()
