"""Child processes that speak JSON lines."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import Any

__all__ = ["Child"]


class Child:
    """A process of ours: commands go in as lines, events come out as lines."""

    def __init__(self, module: str, *arguments: str, environ: dict[str, str]) -> None:
        self._module = module
        self._process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
            start_new_session=True,
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, line: str) -> None:
        """One line to its stdin."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def wait_for(self, event: str, timeout: float) -> dict[str, Any]:
        """The next event of this name; raises `TimeoutError` or `RuntimeError` when it ended."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                found = self._events.get(timeout=max(0.01, min(0.5, deadline - time.monotonic())))
                if found["event"] == event:
                    return found
            except queue.Empty:
                if self._process.poll() is not None and self._events.empty():
                    raise RuntimeError(f"{self._module} ended with {self._process.returncode}") from None
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {event!r} within {timeout:g} s")

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def stop(self, timeout: float = 5.0) -> None:
        """Close its stdin, which is enough for ours; then ask it to end; then end it. `timeout` is for each."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass  # it ended first
        for signal_number in (None, signal.SIGTERM, signal.SIGKILL):
            if signal_number is not None:
                self._process.send_signal(signal_number)
            try:
                self._process.wait(timeout)
                return
            except subprocess.TimeoutExpired:
                continue

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        for line in self._process.stdout:
            try:
                self._events.put(json.loads(line))
            except ValueError:
                continue  # something that a library printed
