"""Headers that tell a browser what it may do with an answer; for everything that is answered, errors included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["API_HEADERS", "COMMON_HEADERS", "with_headers"]

COMMON_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
"""No guessing of types, no frames, no address of ours told elsewhere, no use of an answer by a page elsewhere."""

API_HEADERS = {
    **COMMON_HEADERS,
    # What is answered is data: opened as a page, it may load and run nothing.
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    # Names, errors and reasons of customers: no cache on the way keeps them.
    "cache-control": "no-store",
}


def with_headers(app: ASGIApp, headers: Mapping[str, str]) -> Callable[..., Any]:
    """The application, with headers on each answer that does not have its own of the same name."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = list(message.get("headers", ()))
                names = {name.lower() for name, _ in told}
                message = {**message, "headers": [*told, *(item for item in raw if item[0] not in names)]}
            await send(message)

        await app(scope, receive, sending if scope["type"] == "http" else send)

    return answering
