"""Bodies of requests to the API, within limits of size and time; larger ones are refused before they are read to the end.

FastAPI reads a body before it looks at the token, so that these limits are all that holds a stranger back.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugwarden_collector.errors import BusyError
from plugwarden_collector.receive.allowance import Allowance, Hold

from . import problem

__all__ = ["ALERTS_BYTES", "BODY_BYTES", "BODY_SECONDS", "limit_bodies"]

BODY_BYTES = 2 * 1024**2
"""A statement has up to 100,000 characters (`QueryRequest`), of which JSON may make 12 bytes each; the rest is for its values."""
ALERTS_BYTES = 10 * 1024**2
"""Of `/api/v2/alerts`: a thousand alerts, as many as it takes, with 10 KiB of labels and annotations each."""
IN_HAND_BYTES = 64 * 1024**2
"""Of all bodies at once: strangers must not fill the memory together either."""
BODY_SECONDS = 30.0
"""As for OTLP (`receive.exchange`)."""
DRAIN_SECONDS = 5.0
DRAIN_BYTES = 20 * 1024**2
"""A refused body is read on for this long and this far: were the connection closed at once, the client would see a reset."""
_LIMITS = {"/api/v2/alerts": ALERTS_BYTES}


def limit_bodies(app: ASGIApp) -> Any:
    """The middleware around an application. It hands a body on whole, so that what is inside never sees a part of one."""

    allowance = Allowance(IN_HAND_BYTES)

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await app(scope, receive, send)
            return
        limit = _LIMITS.get(scope["path"], BODY_BYTES)
        with allowance.holding() as hold:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    parts = await _read(scope, receive, limit, hold)
            except TimeoutError:
                text = f"it did not arrive within {BODY_SECONDS:g} s"
                await _refuse(receive, send, 408, "the body is late", text)
                return
            except BusyError as error:
                await _refuse(receive, send, 503, "too many bodies at once", str(error))
                return
            if parts is None:
                text = f"at most {limit} bytes ({limit // 1024**2} MiB) are taken here"
                await _refuse(receive, send, 413, "the body is too large", text)
                return

            async def given() -> Message:
                return parts.pop(0) if parts else await receive()

            await app(scope, given, send)

    return limited


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


def _has_body(scope: Scope) -> bool:
    return _header(scope, b"content-length") not in {b"", b"0"} or bool(_header(scope, b"transfer-encoding"))


async def _read(scope: Scope, receive: Receive, limit: int, hold: Hold) -> list[Message] | None:
    """The messages that carry the body, or that the client has gone; None when it is too large."""
    # The server has seen to it that this is a number, and that no more than that comes.
    if int(_header(scope, b"content-length") or 0) > limit:
        return None
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return [message]
        pieces.append(message.get("body", b""))
        hold.grow(len(pieces[-1]))
        size += len(pieces[-1])
        if size > limit:
            return None
        more = message.get("more_body", False)
    return [{"type": "http.request", "body": b"".join(pieces), "more_body": False}]


async def _refuse(receive: Receive, send: Send, status: int, title: str, detail: str) -> None:
    answer = problem.problem(status, title, detail)
    answer.headers["connection"] = "close"
    await send({"type": "http.response.start", "status": status, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": bytes(answer.body), "more_body": True})
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await _drain(receive)
    except TimeoutError:
        pass  # it has the answer by now, or does not want it
    await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    seen, more = 0, True
    while more and seen <= DRAIN_BYTES:
        message = await receive()
        seen += len(message.get("body", b""))
        more = message.get("more_body", False)
