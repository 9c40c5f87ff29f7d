"""The end of the process: all sidecars of it close under one deadline.

Exit handlers run after the host's own threads have ended, so that their last calls are counted. A process that
`multiprocessing` started has none, but it ends its threads in order, and that is told as well.

Signals are the host's: a handler of Python's where there was none would change how a process ends (a signal between two
steps of the interpreter is not seen before the next, and a process that waits for a lock would wait on). The one exception
is uvicorn, which catches SIGTERM itself, shuts down, puts the handler back that it found, and raises the signal again in
the open: without one of ours there, its process would end with neither exit handlers nor a goodbye. Where it had caught it
before the application was loaded, it puts back the system's, and not ours; there the signal that it raises is held back on
the main thread until uvicorn has returned, and then ends the process as it was meant to.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

__all__ = ["Ending", "close_all", "enrol"]


class Ending(Protocol):
    """What is closed at the end."""

    @property
    def exit_seconds(self) -> float: ...
    def say_goodbye(self) -> None:
        """Tell the collector that silence is meant from now on; does not wait."""

    def close(self, timeout: float) -> bool: ...


_enrolled: weakref.WeakSet[Ending] = weakref.WeakSet()
_lock = threading.Lock()
_registered = False


def enrol(item: Ending, *, on_signal: bool) -> None:
    """Have an item closed at the process's end. The first one registers the handlers."""
    global _registered
    with _lock:
        _enrolled.add(item)
        first, _registered = not _registered, True
    if first:
        atexit.register(close_all)
        register: Callable[[Callable[[], None]], object] | None = getattr(threading, "_register_atexit", None)
        if register is not None:
            try:
                register(_end_child)
            except RuntimeError:
                pass  # made while the interpreter is ending already
    if on_signal:
        _Terminated.install()


def close_all() -> None:
    """Close all, together, within the longest of their times; each that is closed already answers at once."""
    items = tuple(_enrolled)
    if not items:
        return
    deadline = time.monotonic() + max(item.exit_seconds for item in items)
    for item in items:
        _guarded(item.say_goodbye)  # they send side by side, each from its own threads
    for item in items:
        _guarded(lambda item=item: item.close(max(0.0, deadline - time.monotonic())))  # type: ignore[misc]


def _renew() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew)


def _end_child() -> None:
    """When threads are joined: in a child of `multiprocessing`, which ends without exit handlers."""
    if _Terminated.held:
        _let_go()
    if _of_multiprocessing():
        close_all()


def _of_multiprocessing() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _of_uvicorn() -> bool:
    """Whether nothing but uvicorn follows when its server returns: in a worker of its, or where it is the program."""
    if _of_multiprocessing():
        return True
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    program = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119 - it is text, and this is a signal's handler
    return getattr(spec, "name", "") == "uvicorn.__main__" or program == "uvicorn"


def _before_children_are_joined() -> None:
    """`multiprocessing` waits for a process's own children before its threads are joined; without us it would not have."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _of_multiprocessing():
        util.Finalize(None, _end_child, exitpriority=sys.maxsize)


def _let_go() -> None:
    """The signal that was held back ends the process here, before its threads are waited for; what it has is sent first."""
    _Terminated.held = False
    close_all()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _guarded(action: Callable[[], Any]) -> None:
    try:
        action()
    except Exception:  # noqa: BLE001, S110 - the process ends, and must not end otherwise because of us
        pass


class _Terminated:
    """The handler of SIGTERM, over the one that was there: the system's, or uvicorn's own when the application is loaded
    late, as in its workers; that one keeps its say, and what follows leaves at once."""

    held = False
    """Whether SIGTERM is held back on the main thread."""

    def __init__(self, before: Callable[[int, FrameType | None], Any] | None) -> None:
        self.before = before
        """The host's; None: the system ends the process."""

    @classmethod
    def install(cls) -> None:
        """Under uvicorn, on the main thread, the only one that may."""
        if "uvicorn" not in sys.modules or threading.current_thread() is not threading.main_thread():
            return
        current = signal.getsignal(signal.SIGTERM)
        if isinstance(current, cls) or current is None or current is signal.SIG_IGN:
            return
        try:
            signal.signal(signal.SIGTERM, cls(current if callable(current) else None))
        except ValueError:
            pass  # not the main interpreter

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        """A handler runs between any two steps of the main thread, which may hold any of our locks: it takes none.

        What is to be done is done by a thread made without Python's own locks; the handler waits for it, if at all, with
        a time-out.
        """
        items = tuple(_enrolled)
        done = _thread.allocate_lock()
        done.acquire()

        def work() -> None:
            try:
                if self.before is None:
                    close_all()
                else:
                    for item in items:
                        _guarded(item.say_goodbye)
            finally:
                done.release()

        try:
            _thread.start_new_thread(work, ())
        except RuntimeError:
            done.release()  # the interpreter is ending, or there is no room for a thread: it ends as without us
        if self.before is not None:
            if not _Terminated.held and _of_uvicorn():
                # Raised again, it would end the process by the system's handler, while what was said is being sent.
                _Terminated.held = True
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
                _before_children_are_joined()
            return self.before(number, frame)
        done.acquire(timeout=max((item.exit_seconds for item in items), default=0.0) + 0.2)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return None
