"""A host's process with all that it starts: how it ended, what it said, and the CPU time of the whole tree."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ended", "HostProcess"]

_ADOPT = 36
"""PR_SET_CHILD_SUBREAPER, linux/prctl.h: what outlives its parent becomes our child, so that its CPU time is told to us."""
_GRACE_SECONDS = 5.0
"""How long what outlives the host may take to end."""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    """Negative: the signal that ended it."""
    cpu_seconds: float
    """User and system time of it and of all its descendants."""
    left: int
    """Processes that had to be killed afterwards."""


class HostProcess:
    """Started when it is made, in a session of its own; `kill` ends everything in it."""

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str], out: Path, err: Path) -> None:
        _adopt(True)
        with out.open("wb") as said, err.open("wb") as complained:
            self._process = subprocess.Popen(
                list(command), cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, stdout=said, stderr=complained,
                start_new_session=True,
                # A shell that starts us in the background has us ignore Ctrl-C, and so would all that we start.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip
        self.pid = self._process.pid
        self._ended: Ended | None = None

    @property
    def running(self) -> bool:
        """Whether the host itself, the first process, has not ended; it stays to be waited for."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def signal(self, number: int) -> None:
        """To the host alone, as `kill` or a service manager sends it."""
        os.kill(self.pid, number)

    def wait(self, seconds: float) -> Ended:
        """Until the host and all that it started has ended; raises `TimeoutError` when the host has not by then."""
        end = time.monotonic() + seconds
        while self.running:
            if time.monotonic() > end:
                raise TimeoutError(f"the host has not ended after {seconds:.0f} s")
            time.sleep(0.005)
        _, status, used = os.wait4(self.pid, 0)
        cpu = used.ru_utime + used.ru_stime
        self._process.returncode = code = os.waitstatus_to_exitcode(status)  # so that Popen does not wait as well
        more, left = self._reap(time.monotonic() + _GRACE_SECONDS)
        _adopt(False)  # whoever runs us has orphans of its own, perhaps, which are not ours to wait for
        self._ended = Ended(code, cpu + more, left)
        return self._ended

    def kill(self) -> None:
        """End whatever is left of it; does nothing when it has ended."""
        if self._ended is None:
            self._kill_group()
            self.wait(60)

    def _reap(self, end: float) -> tuple[float, int]:
        """CPU time of what outlived the host in its session, and how many of them had to be killed."""
        cpu, left = 0.0, 0
        while True:
            try:
                pid, _, used = os.wait4(-self.pid, os.WNOHANG)
            except ChildProcessError:
                return cpu, left
            if pid:
                cpu += used.ru_utime + used.ru_stime
                left += time.monotonic() > end
            else:
                if time.monotonic() > end:
                    self._kill_group()
                time.sleep(0.01)

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _adopt(on: bool) -> None:
    ctypes.CDLL(None).prctl(_ADOPT, int(on), 0, 0, 0)
