"""uvicorn raises SIGTERM again when it has shut down, which skips all exit handlers: nothing is lost, and it ends as ever."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar.support.otlp_receiver import Receiver

APP = """
import threading, time
from plugwarden import Sidecar
from plugwarden.integrations.asgi import PluginApp

async def plugin(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})

async def app(scope, receive, send):
    if scope["type"] == "http":
        await observed(scope, receive, send)

observed = PluginApp(plugin, Sidecar(), plugin="p", version="1")
# SIGTERM has never waited for a thread of the host's.
threading.Thread(target=time.sleep, args=(600,)).start()
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("workers", "code"), [([], -signal.SIGTERM), (["--workers", "2"], 0)], ids=["alone", "workers"]
)
def test_a_receiver_that_is_busy_when_uvicorn_is_told_to_end_still_gets_every_call(
    receiver: Receiver, tmp_path: Path, workers: list[str], code: int
) -> None:
    (tmp_path / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "PLUGWARDEN_EXIT_SECONDS": "20"}
    environ |= {"PLUGWARDEN_EXPORT_INTERVAL": "300", "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--lifespan", "off", *workers],
        cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(20):
            ask(port)
        receiver.status = 503
        process.terminate()
        time.sleep(1)  # by now it has ended, if it does not wait
        receiver.status = 200
        assert process.wait(60) == code
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
    assert sum(receiver.counts) == 20


def ask(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"x"
            return
        except ConnectionError:
            assert time.monotonic() < end
            time.sleep(0.1)
        finally:
            connection.close()
