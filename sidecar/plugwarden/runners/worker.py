"""One worker process, seen from the host: started, asked, killed."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from plugwarden.operation import Operation
from plugwarden.runners.child.tags import FRAME
from plugwarden.runners.child.wire import UnsafeResult, loads_untrusted
from plugwarden.runners.raised import MAX_ARGUMENT_BYTES, Raised
from plugwarden.runners.target import Target
from plugwarden.token_reach import without_tokens
from plugwarden.touches import ENFORCEABLE, Touches

__all__ = ["Answer", "DeadlinePassed", "MemoryExceeded", "NotStarted", "Worker", "seconds_until"]

START_SECONDS = 30.0
"""A worker that is not ready by then never will be; calls wait for it only until their own deadline."""
MAX_RESULT_BYTES = 64 * 1024 * 1024
"""The largest result where no quota says otherwise."""
_TOLD_BYTES = 2 * MAX_ARGUMENT_BYTES
"""The largest frame beside a result: an exception with its arguments is the largest of them."""
_TOLD_MEMORY_BYTES = 100_000
_POLL_MS = 20
"""How often memory is looked at during a call that has a limit: at 1 GB/s a plugin gains 20 MB meanwhile."""
_CHILD = Path(__file__).parent / "child"
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHASHSEED", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class DeadlinePassed(Exception):
    """The call was not done at its deadline, or nobody waits for it any more."""


class MemoryExceeded(Exception):
    """The worker holds more memory than it may."""


class NotStarted(Exception):
    """The worker could not be started, or could not import the plugin."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker tells of one call."""

    kind: str
    """`result`, `raised`, `refused` (it is no plain data, or too deep) or `too_large`."""
    cpu_seconds: float
    peak_bytes: int
    children: int
    detail: Raised | str | None
    """What was raised; or why it is refused."""
    body: bytes = b""
    """The result as a frame, not read yet."""

    @classmethod
    def of(cls, told: Any) -> Answer:
        """Raises `UnsafeResult` where it is not what a worker of ours sends."""
        if type(told) is not tuple or list(map(type, told))[:4] != [str, float, int, int] or len(told) != 5:
            raise UnsafeResult("not a frame of ours")
        kind, cpu_seconds, peak_bytes, children, detail = told
        if kind not in _KINDS or not all(0 <= number < 1e15 for number in (cpu_seconds, peak_bytes, children)):
            raise UnsafeResult("not a frame of ours")
        if kind == "raised":
            return cls(kind, cpu_seconds, peak_bytes, children, Raised.of(detail))
        if type(detail) is not str:
            raise UnsafeResult("not a frame of ours")
        return cls(kind, cpu_seconds, peak_bytes, children, detail[:1000])


_KINDS = frozenset({"result", "raised", "refused", "too_large"})


class Worker:
    """One worker process, seen from the host."""

    def __init__(
        self, operation: Operation, target: Target, scratch: Path, carried: Sequence[tuple[str, str, tuple[Any, ...]]]
    ) -> None:
        """`carried`: the types it may answer with, as (module, qualified name, what it does to send one)."""
        declaration = operation.declaration
        touches, quota = declaration.touches, declaration.quota
        self.output_bytes = (quota.output_bytes if quota is not None else None) or MAX_RESULT_BYTES
        self.ready = False
        self.children = 0
        self.peak_bytes = 0
        self.touches: Touches = touches
        """What it may touch."""
        self.enforced: tuple[str, ...] = ()
        """What the kernel holds it to."""
        self._inner = 0
        self._contained = False
        self._began = time.monotonic()
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        environment = {name: os.environ[name] for name in (*_PASSED_ON, *touches.environment) if name in os.environ}
        environment = without_tokens(environment)  # whatever a manifest asks for
        environment |= {"PLUGWARDEN_DISABLED": "1", "PLUGWARDEN_WORKER": "1", "TMPDIR": str(scratch)}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
                [sys.executable, "-u", str(_CHILD), str(theirs.fileno()), str(lifeline)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), lifeline),
                env=environment,
            )
        except BaseException:
            ours.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
        self._connection = ours
        terms = {
            "module": target.module,
            "qualname": target.qualname,
            "main": target.main,
            "path": [str(Path(entry).resolve()) if entry else str(Path.cwd()) for entry in sys.path],
            "scratch": str(scratch),
            "read": [*_python_paths(), *map(str, touches.read), *map(str, touches.write), str(scratch)],
            "write": [*map(str, touches.write), str(scratch)],
            "network": touches.network,
            "files": touches.open_files,
            "processes": touches.processes,
            "file_bytes": touches.file_bytes,
            "memory_bytes": (quota.memory_bytes if quota is not None else None) or 0,
            "output_bytes": self.output_bytes,
            "returns": carried,
            "require": {word: ENFORCEABLE[word] for word in touches.require_enforced},
        }
        self._send(pickle.dumps(terms), 0)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def await_ready(self) -> None:
        """Until it has given up what it must. Raises `NotStarted` where it could not."""
        self._await_ready(0, None)

    def exchange(self, request: bytes, deadline_ns: int, stop: threading.Event | None, memory_bytes: int) -> Answer:
        """One call."""
        if not self.ready:
            self._await_ready(deadline_ns, stop)
        self._send(request, deadline_ns)
        answer = Answer.of(self._told(deadline_ns, stop, memory_bytes))
        self.peak_bytes, self.children = answer.peak_bytes, answer.children
        if answer.kind == "result":
            answer = replace(answer, body=self._receive(self.output_bytes, deadline_ns, stop, memory_bytes))
        return answer

    def resident_bytes(self) -> int:
        """What it holds in memory now; 0 when it is gone."""
        try:
            with open(f"/proc/{self._inner or self._process.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            return 0

    def kill(self) -> int:
        """End it and everything it started. Return its exit code; above 128 it is 128 and the signal."""
        if not self._inner:  # perhaps it has just said who it is
            with contextlib.suppress(Exception):
                self._hello(perf_counter_ns() + 1_000_000)
        lifeline, self._lifeline = self._lifeline, -1
        if lifeline >= 0:
            os.close(lifeline)
        if self._inner:
            started = [] if self._contained else _descendants(self._inner)
            for pid in (self._inner, *started):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if not self._contained:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._inner, signal.SIGKILL)
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._connection.close()
        return code

    def _hello(self, deadline_ns: int) -> None:
        told = self._told(deadline_ns, None, 0)  # by our own program, before the plugin was there
        if type(told) is not tuple or list(map(type, told)) != [int, bool] or told[0] < 2:
            raise UnsafeResult("not a frame of ours")
        self._inner, self._contained = told

    def _await_ready(self, deadline_ns: int, stop: threading.Event | None) -> None:
        limit_ns = perf_counter_ns() + int((START_SECONDS - (time.monotonic() - self._began)) * 1e9)
        limit_ns = min(limit_ns, deadline_ns) if deadline_ns else limit_ns
        try:
            if not self._inner:
                self._hello(limit_ns)
            told = self._told(limit_ns, stop, 0)
        except DeadlinePassed:
            if deadline_ns and perf_counter_ns() >= deadline_ns:
                raise
            raise NotStarted(f"not ready after {START_SECONDS:g} s") from None
        if type(told) is str:
            raise NotStarted(told[:2000])
        if type(told) is not tuple or not all(type(name) is str for name in told):
            raise UnsafeResult("not a frame of ours")
        self.enforced = told
        self.ready = True

    def _send(self, data: bytes, deadline_ns: int) -> None:
        self._connection.settimeout(seconds_until(deadline_ns))
        try:
            self._connection.sendall(FRAME.pack(len(data)))
            self._connection.sendall(data)
        except TimeoutError:
            raise DeadlinePassed from None

    def _told(self, deadline_ns: int, stop: threading.Event | None, memory_bytes: int) -> Any:
        frame = self._receive(_TOLD_BYTES, deadline_ns, stop, memory_bytes)
        return loads_untrusted(frame, memory_bytes=_TOLD_MEMORY_BYTES)

    def _receive(self, most: int, deadline_ns: int, stop: threading.Event | None, memory_bytes: int) -> bytes:
        (length,) = FRAME.unpack(self._exactly(FRAME.size, deadline_ns, stop, memory_bytes))
        if length > most:
            raise UnsafeResult(f"a frame of {length} bytes")
        return self._exactly(length, deadline_ns, stop, memory_bytes)

    def _exactly(self, length: int, deadline_ns: int, stop: threading.Event | None, memory_bytes: int) -> bytes:
        parts = bytearray()
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        watched = bool(memory_bytes) or stop is not None
        while len(parts) < length:
            left = seconds_until(deadline_ns)
            wait_ms = None if left is None else left * 1000
            if watched:
                wait_ms = _POLL_MS if wait_ms is None else min(wait_ms, _POLL_MS)
            if not poll.poll(wait_ms):
                if (deadline_ns and perf_counter_ns() >= deadline_ns) or (stop is not None and stop.is_set()):
                    raise DeadlinePassed
                if memory_bytes:
                    resident = self.resident_bytes()
                    self.peak_bytes = max(self.peak_bytes, resident)
                    if resident > memory_bytes:
                        raise MemoryExceeded
                continue
            part = self._connection.recv(min(1 << 20, length - len(parts)), socket.MSG_DONTWAIT)
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


def seconds_until(deadline_ns: int) -> float | None:
    """What is left until a deadline, at least 0; None without one."""
    return max(0.0, (deadline_ns - perf_counter_ns()) / 1e9) if deadline_ns else None


@functools.cache
def _python_paths() -> tuple[str, ...]:
    """What any Python program has to read."""
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values(), str(_CHILD.parent.parent)}
    found |= {str(Path(entry).resolve()) for entry in sys.path}  # "" is the folder that the host was started in
    found |= {"/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys/devices/system/cpu", "/dev/urandom", "/dev/zero"}
    return tuple(sorted(path for path in found if path != "/"))


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            text = Path(f"/proc/{pid}/task/{task}/children").read_text()
            for child in map(int, text.split()):
                found += [child, *_descendants(child)]
    return found
