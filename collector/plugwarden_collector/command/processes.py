"""The collector and the dashboards as child processes: started in order, watched, and stopped together."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plugwarden_collector.api.client import CollectorClient

from .output import console, emit_json, fail

__all__ = ["collector_command", "collector_process", "dashboards_process", "exec_dashboards", "run_up", "stop"]

START_SECONDS = 60.0
STOP_SECONDS = 15.0


def collector_command(*arguments: str) -> list[str]:
    """What starts a collector that tells in a line of JSON when it is ready."""
    return [sys.executable, "-m", "plugwarden_collector", "collector", "--json", *arguments]


@contextlib.contextmanager
def collector_process(*arguments: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A collector of its own; return the process and its ready line."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        collector_command(*arguments),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = process.stdout.readline()
        if not line:
            fail(f"the collector did not start (exit code {process.wait()})", 2)
        ready = json.loads(line)
        threading.Thread(target=process.stdout.read, daemon=True).start()  # so that it never blocks on a full pipe
        yield process, ready
    finally:
        stop(process)


@contextlib.contextmanager
def dashboards_process(address: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Dashboards on a collector; returns once they answer."""
    command = [sys.executable, "-m", "plugwarden_dashboards", "--address", address, "--url", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    try:
        client = CollectorClient(f"http://{address}", timeout=2.0)
        deadline = time.monotonic() + START_SECONDS
        while not client.ready():
            if process.poll() is not None:
                fail(f"the dashboards did not start (exit code {process.returncode}); is {address} in use?", 2)
            if time.monotonic() > deadline:
                fail(f"the dashboards did not answer at {address} within {START_SECONDS:.0f} s", 2)
            time.sleep(0.2)
        client.close()
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[Any]) -> None:
    """Ask a process to end; after `STOP_SECONDS`, end it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def exec_dashboards(address: str, url: str, names: Sequence[str]) -> None:
    """Become the dashboards."""
    if importlib.util.find_spec("plugwarden_dashboards") is None:
        fail("the dashboards are not installed; install plugwarden-dashboards beside this package")
    command = [sys.executable, "-m", "plugwarden_dashboards", "--address", address, "--url", url]
    os.execv(sys.executable, [*command, *(f"--host-name={name}" for name in names)])  # noqa: S606


def run_up(data: Path, rules: Path | None, as_json: bool) -> None:
    """Collector and dashboards on their usual ports, until Ctrl-C or until one of them ends."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    arguments = ["--data", str(data)]
    if rules is not None:
        arguments += ["--rules", str(rules)]
    with contextlib.ExitStack() as stack:
        collector, ready = stack.enter_context(collector_process(*arguments))
        parts: list[subprocess.Popen[Any]] = [collector]
        url = None
        if importlib.util.find_spec("plugwarden_dashboards") is not None:
            parts.append(stack.enter_context(dashboards_process("127.0.0.1:8501", f"http://{ready['api']}")))
            url = "http://127.0.0.1:8501"
        if as_json:
            emit_json({**ready, "dashboards": url})
        else:
            console.print(f"send OTLP to    {ready['grpc']} (gRPC) or {ready['http']} (HTTP)")
            console.print(f"ask the API at  http://{ready['api']}")
            console.print(f"look at         {url or 'no dashboards: plugwarden-dashboards is not installed'}")
            console.print("stop with       Ctrl-C")
        while not stopping.wait(0.5):
            ended = next((part for part in parts if part.poll() is not None), None)
            if ended is not None:
                fail(f"{' '.join(map(str, ended.args[2:4]))} ended by itself with exit code {ended.returncode}")  # type: ignore[index]
