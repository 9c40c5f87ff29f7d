"""Receivers over HTTP that keep what they got: they can be away, come back at the same place, and refuse."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Got:
    """One request that was taken."""

    content_type: str
    body: dict[str, Any]


class Hook(ThreadingHTTPServer):
    """A receiver."""

    def __init__(self, port: int = 0) -> None:
        self.got: list[Got] = []
        self.refused: set[str] = set()
        """Texts: a body that holds one of them is answered 400."""
        super().__init__(("127.0.0.1", port), _Handler)
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/"

    def stop(self) -> None:
        """Be away."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        taken = not any(word in text for word in self.server.refused)
        if taken:
            self.server.got.append(Got(self.headers["content-type"], json.loads(text)))
        self.send_response(200 if taken else 400)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""
