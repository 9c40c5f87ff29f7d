"""Dashboards as a process of their own, and browsers of theirs made by hand: what a page may say that a real browser would not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


@dataclass(frozen=True)
class Served:
    """Dashboards that run."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """A GET by HTTP."""
        return httpx2.get(f"http://{self.host}{path}", headers=headers, timeout=10, trust_env=False)

    def read(self, page: str, *, host: str | None = None, **headers: str) -> str:
        """All the text that a visitor of a page is shown; raises `InvalidStatus` where the door stays shut."""
        host = host or self.host
        origin = headers.pop("origin", f"http://{host}")
        texts: list[str] = []
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        uri = f"ws://{host}/_stcore/stream"
        with connect(uri, sock=plain, origin=origin, additional_headers=headers, max_size=None, proxy=None) as line:  # type: ignore[call-overload]
            message = BackMsg()
            message.rerun_script.page_name = page
            line.send(message.SerializeToString())
            while True:
                said = ForwardMsg()
                said.ParseFromString(line.recv(timeout=90))  # type: ignore[call-overload]
                if said.WhichOneof("type") == "delta":
                    element = said.delta.new_element
                    kind = element.WhichOneof("type")
                    if kind is not None:
                        found = getattr(element, kind)
                        texts += [str(getattr(found, name, "")) for name in ("body", "label", "title", "json")]
                if said.WhichOneof("type") == "script_finished":
                    return "\n".join(texts)

    def status_of_stream(self, *, host: str | None = None, **headers: str) -> int:
        """The status with which a WebSocket is answered; 101 when it is opened."""
        try:
            self.read("", host=host, **headers)
        except InvalidStatus as error:
            return error.response.status_code
        return 101


@contextmanager
def served(
    url: str,
    *arguments: str,
    environ: Sequence[tuple[str, str]] = (),
    module: str = "plugwarden_dashboards",
    port: int = 0,
) -> Iterator[Served]:
    """Dashboards on a collector, for the length of a block; on a free port unless one is named."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLUGWARDEN_")}
    command = [
        sys.executable,
        "-m",
        module,
        "--address",
        f"127.0.0.1:{port}",
        "--url",
        url,
        *arguments,
    ]
    process = subprocess.Popen(
        command, env={**kept, **dict(environ)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    found = Served(port, process)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if found.get("/readyz").status_code == 200:
                    break
            except httpx2.HTTPError:
                pass
            assert process.poll() is None, "the dashboards did not start"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield found
    finally:
        process.terminate()
        process.wait(20)
