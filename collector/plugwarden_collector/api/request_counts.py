"""Counts what is asked of the API, by route and answer, for our own metrics."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ApiCalls"]

NO_ROUTE = "none"


class ApiCalls:
    """Written by the event loop, read from any thread. Bounded: routes and status codes are ours, not the caller's."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        """(route, status) -> requests."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """Route -> time spent answering, waits for new directives included."""
        self.under_way = 0

    def counting(self, app: ASGIApp) -> Any:
        """The middleware around an application."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status = "none"
            began = time.monotonic()
            self.under_way += 1

            async def note(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            try:
                await app(scope, receive, note)
            finally:
                self.under_way -= 1
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                self.requests[route, status] += 1
                self.seconds[route] += time.monotonic() - began

        return counted
