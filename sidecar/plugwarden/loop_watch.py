"""Watches asyncio event loops, and names the plugin, file and line that hold one up.

While a wrapped coroutine runs on a loop, a thread asks the loop for a sign of life twice per threshold. If none comes
within the threshold, the stack of the loop's thread is read at that moment: the innermost wrapper on it tells the
operation, and the frames below it where in the plugin's code it hangs. What blocks outside of a plugin is the host's own
and is not reported.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from plugwarden.contract.value import value
from plugwarden.loops import running_loop
from plugwarden.operation import Operation

if TYPE_CHECKING:
    import asyncio

__all__ = ["Blocked", "LoopWatch"]

_SHIM = str(Path(__file__).parent / "shim")
Place = tuple[str, int, str]
"""Where code stands: (file, line, function)."""


@value
class Blocked:
    """One time that a loop was held up by a plugin."""

    operation: Operation
    place: Place
    seconds: float


class _Loop:
    __slots__ = ("answered_at", "asked_at", "caught", "loop", "operations", "thread_id")

    def __init__(self, loop: weakref.ref[asyncio.AbstractEventLoop], thread_id: int) -> None:
        self.loop = loop
        self.thread_id = thread_id
        self.operations: weakref.WeakSet[Operation] = weakref.WeakSet()
        self.asked_at = 0.0
        """Monotonic seconds; 0: nothing is asked."""
        self.answered_at = 0.0
        self.caught: tuple[Operation, Place] | None = None

    def answer(self) -> None:
        self.answered_at = time.monotonic()


class LoopWatch:
    """One thread for all loops of the process. `report` is called from it."""

    def __init__(self, threshold_seconds: float, report: Callable[[Blocked], None]) -> None:
        self._threshold = threshold_seconds
        self._report = report
        self._loops: dict[int, _Loop] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def see(self, operation: Operation) -> None:
        """Watch the loop that the calling coroutine runs on. Cheap when it is watched already."""
        loop = running_loop()
        if loop is None:
            return  # some other library's loop
        known = self._loops.get(id(loop))
        if known is not None and known.loop() is loop and self._thread is not None:
            known.operations.add(operation)
            return
        with self._lock:
            self._loops[id(loop)] = known = _Loop(weakref.ref(loop), threading.get_ident())
            known.operations.add(operation)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="plugwarden-loop-watch", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return  # no room for one more: it is tried again with the next look
                self._thread = thread

    def stop(self, timeout: float) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child, which has neither the thread nor a running loop."""
        self._lock = threading.Lock()
        self._loops.clear()
        self._thread = None

    def _run(self) -> None:
        while not self._stopping.wait(self._threshold / 2):
            for key, watched in list(self._loops.items()):
                try:
                    if not self._look(watched):
                        with self._lock:
                            self._loops.pop(key, None)
                except Exception:  # noqa: BLE001 - a loop of somebody's own making must not end the watch
                    watched.asked_at = 0.0

    def _look(self, watched: _Loop) -> bool:
        """One look at one loop; False when it is gone."""
        loop = watched.loop()
        if loop is None or loop.is_closed():
            return False
        now = time.monotonic()
        if not watched.asked_at:
            if any(operation.running for operation in watched.operations):
                watched.asked_at, watched.answered_at = now, 0.0
                loop.call_soon_threadsafe(watched.answer)
        elif watched.answered_at:
            if watched.caught is not None:
                operation, place = watched.caught
                self._report(Blocked(operation, place, watched.answered_at - watched.asked_at))
            watched.asked_at, watched.caught = 0.0, None
        elif now - watched.asked_at >= self._threshold and watched.caught is None:
            watched.caught = _culprit(sys._current_frames().get(watched.thread_id))
        return True


def _culprit(innermost: FrameType | None) -> tuple[Operation, Place] | None:
    """The innermost operation on a stack, and where its plugin's own code stands."""
    below: list[tuple[CodeType, int]] = []
    frame = innermost
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_SHIM):
            operation = frame.f_locals.get("operation")
            if isinstance(operation, Operation) and below:
                own = next(
                    (item[0].co_filename for item in reversed(below) if not item[0].co_filename.startswith(_SHIM)), ""
                )
                stuck, line = next((item for item in below if item[0].co_filename == own), below[0])
                return operation, (stuck.co_filename, line, stuck.co_qualname)
        below.append((code, frame.f_lineno or 0))
        frame = frame.f_back
    return None
