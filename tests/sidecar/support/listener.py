"""Both sides of a subscription: a collector that answers as told, and what listens to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from plugwarden.contract import DirectiveSet
from plugwarden.gate.subscription import Subscription

__all__ = ["Answer", "Listener", "collector"]

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def collector(answer: Answer) -> Iterator[str]:
    """One that answers as told."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Listener:
    """The sidecar's side."""

    def __init__(self, url: str, known: DirectiveSet | None = None) -> None:
        self.known = known or DirectiveSet()
        self.troubles: list[str] = []
        self.subscription = Subscription(
            url, token=None, query={}, current=lambda: self.known, apply=self.apply, trouble=self.troubles.append
        )

    def apply(self, directives: DirectiveSet) -> None:
        self.known = directives

    def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> bool:
        end = time.monotonic() + seconds
        self.subscription.start()
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        self.subscription.stop(2)
        return condition()
