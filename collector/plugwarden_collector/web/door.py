"""The API's door: without tokens it opens to programs and pages of this machine alone, before anything else of a request is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from . import problem
from .auth import TokenBook

__all__ = ["door"]


def door(tokens: TokenBook) -> Callable[[ASGIApp], Any]:
    """The middleware around an application; with tokens it lets everybody to the routes, which ask for one."""

    def around(app: ASGIApp) -> Any:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            found = None
            if scope["type"] == "http":
                found = tokens.outsider(scope["headers"], method=scope["method"])
            if found is None:
                await app(scope, receive, send)
                return
            answer = problem.problem(scope["path"], found.status, "not from this machine", found.text)
            if found.status == 401:
                answer.headers["www-authenticate"] = "Bearer"
            await answer(scope, receive, send)

        return guarded

    return around
