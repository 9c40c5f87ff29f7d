"""The reader processes of a collector: a few, started ahead, each for one statement at a time, and ended when it must be."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa

from plugwarden_collector.errors import BusyError, StoreError
from plugwarden_collector.memory import memory

from .confine import resident_bytes
from .wire import Channel, Message

__all__ = ["ENDS", "ReaderPool", "ReaderProcess", "close_shared_pool", "shared_pool"]

PROCESSES = 2
"""Reader processes: as many as statements run at once (api/routes/query.py): on two cores more would only slow each other, and ingest."""
START_SECONDS = 30.0
"""Seconds that a start may take. It takes a third of a second of processor time; the rest is for a machine that is very busy."""
MAX_STARTS = 3
"""Starts that may fail before a statement is given up."""
WORN_BYTES = 192 * 1024 * 1024
"""Bytes above which a process is replaced after a statement: a fresh one holds 90 MB."""
ENDS = ("time", "memory", "cancelled", "crashed", "worn")
"""Why reader processes were ended."""

_log = logging.getLogger(__name__)


class ReaderProcess:
    """One process, and the line to it."""

    def __init__(self, views: Mapping[str, pa.Schema], memory_bytes: int) -> None:
        here, there = socket.socketpair()
        with there:
            # A new interpreter that inherits nothing: no environment and with it no token, no descriptor but its line.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-I", "-W", "ignore", "-m", "plugwarden_collector.reader", str(there.fileno())],
                pass_fds=[there.fileno()],
                env={"LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        self._channel = Channel(here)
        self._ending = threading.Lock()
        self._ended: str | None = None
        self._ready = False
        raw = {name: schema.serialize().to_pybytes().hex() for name, schema in views.items()}
        self._channel.send({"views": raw, "memory_bytes": memory_bytes, "threads": min(2, os.cpu_count() or 1)})

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    def wait_ready(self, seconds: float) -> bool:
        """Whether it can be asked by then."""
        if not self._ready:
            try:
                told = self._channel.receive(seconds)
            except (OSError, ValueError):
                return False
            self._ready = told is not None and told.header.get("kind") == "ready"
            if told is not None and not self._ready:
                _log.error("a reader process could not start: %s", told.header.get("text"))
        return self._ready

    def send(self, header: Mapping[str, object], payload: bytes = b"") -> None:
        """Ask; what comes back is received."""
        self._channel.send(header, payload)

    def receive(self, seconds: float) -> Message | None:
        """The next thing it says; None when it has ended; raises `TimeoutError`."""
        try:
            return self._channel.receive(max(0.001, seconds))
        except (ConnectionError, ValueError):
            return None

    def end(self, why: str) -> str:
        """Kill it; return why it was ended at first."""
        with self._ending:
            if self._ended is None:
                self._ended = why
                self._process.kill()
        return self._ended

    @property
    def ended(self) -> str | None:
        """Why it was ended, if it was."""
        return self._ended

    def signal_that_ended_it(self) -> str | None:
        """When it ended by itself: the name of the signal, or None for an exit."""
        try:
            code = self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            return None
        return signal.Signals(-code).name if code < 0 else None

    def close(self) -> None:
        """Kill it if it lives, and let go of the line."""
        self._process.kill()
        self._process.wait()
        self._channel.close()


class ReaderPool:
    """Processes that wait for statements. The first is started when the first statement comes, or by `warm`."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self._size = processes
        self._idle: queue.SimpleQueue[ReaderProcess | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._views: Mapping[str, pa.Schema] = {}
        self._all: set[ReaderProcess] = set()
        self._closed = False
        self.ended: Counter[str] = Counter()
        """Processes that were ended, by reason (ENDS)."""

    def warm(self, views: Mapping[str, pa.Schema]) -> None:
        """Start those that are missing; they get ready by themselves. The views are the same in every store of this version."""
        with self._lock:
            if self._closed:
                raise StoreError("the collector is stopping")
            self._views = self._views or views
            while len(self._all) < self._size:
                self._start()

    def take(self, until: float) -> ReaderProcess:
        """A process that is ready, by a monotonic time; raises `BusyError` when there is none."""
        for _ in range(MAX_STARTS):
            try:
                process = self._idle.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise BusyError("every reader process has a statement; try again", retry_after_seconds=2) from None
            if process is None:
                raise StoreError("the collector is stopping")
            if process.wait_ready(START_SECONDS):
                return process
            self.give(process, "crashed")
        raise StoreError("no reader process starts; the collector's log says why")

    def give(self, process: ReaderProcess, why: str | None = None) -> None:
        """Back for the next statement; or, with a reason, to be replaced."""
        if why is None and resident_bytes(process.pid) > WORN_BYTES:
            why = "worn"
        if why is None:
            self._idle.put(process)
            return
        self.ended[process.end(why)] += 1
        process.close()
        with self._lock:
            self._all.discard(process)
            if not self._closed:
                self._start()

    def pids(self) -> list[int]:
        """Return the ids of all processes."""
        with self._lock:
            return [process.pid for process in self._all]

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            self._closed = True
            processes, self._all = self._all, set()
        for process in processes:
            process.close()
            self._idle.put(None)

    def _start(self) -> None:
        process = ReaderProcess(self._views, memory().reader_bytes)
        self._all.add(process)
        self._idle.put(process)


_shared: list[ReaderPool] = []
_sharing = threading.Lock()


def shared_pool() -> ReaderPool:
    """The pool of this process, which serves all its stores and ends with it: the processes see their line close."""
    with _sharing:
        if not _shared:
            _shared.append(ReaderPool())
            atexit.register(close_shared_pool)
        return _shared[0]


def close_shared_pool() -> None:
    """End its processes, and with them the statements that run; whoever asks next begins a new one."""
    with _sharing:
        pools = list(_shared)
        _shared.clear()
    for pool in pools:
        pool.close()
