"""Bodies of requests to the API, within limits of size and time; larger ones are refused before they are read to the end.

FastAPI reads a body before it looks at the token, so that these limits are all that holds a stranger back.
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugwarden_collector.errors import BusyError, PayloadTooLargeError

from . import problem
from .byte_budget import Allowance
from .exchange import Exchange, GoneError, LateError

__all__ = ["ALERTS_BYTES", "BODY_BYTES", "limit_bodies"]

BODY_BYTES = 2 * 1024**2
"""Bytes of any other body: a statement has up to 100,000 characters (`QueryRequest`), of which JSON may make 12 bytes each; the rest
is for its values."""
ALERTS_BYTES = 10 * 1024**2
"""Bytes of a body of pushed alerts: ten thousand alerts, as many as it takes, with 1 KiB of labels and annotations each."""
IN_HAND_BYTES = 64 * 1024**2
"""Bytes of all bodies at once: strangers must not fill the memory together either."""
_LIMITS = {"/api/v2/alerts": ALERTS_BYTES, "/api/v1/pushed/alertmanager": ALERTS_BYTES}


def limit_bodies(app: ASGIApp) -> Any:
    """The middleware around an application. It hands a body on whole, so that what is inside never sees a part of one.

    How long a body may take, and how far a refused one is read on, is as for OTLP (`receive.exchange`).
    """
    allowance = Allowance(IN_HAND_BYTES)

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (exchange := Exchange(scope, receive, send)).unread:
            await app(scope, receive, send)
            return
        limit = _LIMITS.get(scope["path"], BODY_BYTES)
        with allowance.holding() as hold:
            try:
                body = await exchange.body(hold, limit)
            except GoneError:
                return
            except LateError as error:
                await _refuse(exchange, scope["path"], 408, "the body is late", str(error))
            except BusyError as error:
                await _refuse(exchange, scope["path"], 503, "too many bodies at once", str(error))
            except PayloadTooLargeError:
                text = f"at most {limit} bytes ({limit // 1024**2} MiB) are taken here"
                await _refuse(exchange, scope["path"], 413, "the body is too large", text)
            else:
                whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

                async def given() -> Message:
                    return whole.pop() if whole else await receive()

                await app(scope, given, send)

    return limited


async def _refuse(exchange: Exchange, path: str, status: int, title: str, detail: str) -> None:
    answer = problem.problem(path, status, title, detail)
    await exchange.answer(status, bytes(answer.body), [("content-type", answer.headers["content-type"])])
