"""A collector as bad as can be: it hangs, lies, breaks off, and sends garbage, on one port for telemetry and directives."""

from __future__ import annotations

import random
import socket
import threading
import time

GARBAGE = (
    b"\x00\xff\xfe not http at all\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{{{{{",
    b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n",  # and then nothing
    b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 47\r\n\r\n"
    b'{"epoch": 3, "revision": "x", "directives": {}}',
    b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull",
    b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n" + b"[" * 4000,
    b"HTTP/1.1 503 no\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 400 no\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 302 there\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"x-header: y\r\n" * 500 + b"\r\n",
)


class ChaosCollector:
    """Listens until closed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, name="chaos")
        self._accepting.start()

    def close(self) -> None:
        self._closing.set()
        self._socket.close()
        self._accepting.join(10)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        self._socket.settimeout(0.2)
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="chaos")
            thread.start()
            self._threads = [known for known in self._threads if known.is_alive()] + [thread]

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(0.5)
                if self._random.random() < 0.2:
                    return
                try:
                    connection.recv(65_536)
                except TimeoutError:
                    pass
                if self._random.random() < 0.2:
                    self._closing.wait(self._random.random())
                connection.sendall(self._random.choice(GARBAGE))
                if self._random.random() < 0.3:
                    time.sleep(0.05)
        except OSError:
            pass
