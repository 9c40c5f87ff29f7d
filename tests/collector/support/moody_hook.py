"""A receiver over HTTP that fails in every way that receivers do, and keeps what it was sent and what it answered."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TAKES, FAILS, REFUSES, HANGS, DRIPS, AWAY = "takes", "fails", "refuses", "hangs", "drips", "away"
MOODS = (TAKES, FAILS, HANGS, DRIPS, AWAY)
"""Of a receiver in trouble: one that refuses is no such."""
HANG_SECONDS = 20.0
"""Longer than any delivery may take."""


@dataclass(frozen=True)
class Heard:
    """One request that was read in full."""

    attempt: str
    body: Any
    headers: dict[str, str]
    path: str
    taken: bool
    """It was answered 200."""


class MoodyHook(ThreadingHTTPServer):
    """Each request meets one of its `moods` by chance."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, seed: int = 1, port: int = 0) -> None:
        self.moods: Sequence[str] = (TAKES,)
        self.heard: list[Heard] = []
        self._chance, self._lock = random.Random(seed), threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/"

    @property
    def taken(self) -> list[Heard]:
        """What was answered 200."""
        return [item for item in list(self.heard) if item.taken]

    def mood(self) -> str:
        """Return the mood that the next request meets."""
        with self._lock:
            return self._chance.choice(self.moods)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: that the other side has gone is what it is for."""

    def stop(self) -> None:
        """Be gone."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: MoodyHook

    def do_POST(self) -> None:
        mood = self.server.mood()
        if mood == AWAY:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        with contextlib.suppress(ValueError):
            text = json.loads(text)
        attempt = self.headers.get("plugwarden-attempt", "")
        self.server.heard.append(Heard(attempt, text, dict(self.headers.items()), self.path, mood == TAKES))
        self.close_connection = True
        if mood == HANGS:
            time.sleep(HANG_SECONDS)
        elif mood == DRIPS:
            for byte in b"HTTP/1.1 200 OK\r\n":
                self.connection.sendall(bytes([byte]))
                time.sleep(HANG_SECONDS / 17)
        else:
            self.send_response({TAKES: 200, FAILS: 503, REFUSES: 400}[mood])
            self.send_header("content-length", "0")
            self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""
