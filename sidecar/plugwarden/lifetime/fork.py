"""Forking at any time: our threads stand still while the host forks, and at nothing that a child could miss.

What a thread holds at the moment of a fork (a module's import lock, SQLite's, the resolver's) is held for ever in the
child. So nothing is imported once threads run (see `Pipeline.prepare`), and a thread that computes or writes is "at
work": a fork waits for it, for a moment. While it waits for the network or for time it is at rest, and holds nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["PATIENCE_SECONDS", "at_work", "resting"]

PATIENCE_SECONDS = 0.5
"""The most that a fork waits for our threads; a turn of theirs takes some milliseconds."""


class _Gate:
    """Who is at work, and whether somebody forks."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Nobody is at work: at the start, and in a child."""
        self._changed = threading.Condition(threading.Lock())
        self._working = 0
        self._forking = 0
        self._mine = threading.local()

    def enter(self) -> None:
        with self._changed:
            while self._forking:
                self._changed.wait(PATIENCE_SECONDS)
            self._working += 1
        self._mine.working = True

    def leave(self) -> None:
        self._mine.working = False
        with self._changed:
            self._working = max(0, self._working - 1)
            if self._forking:
                self._changed.notify_all()

    @property
    def inside(self) -> bool:
        """Whether this thread is at work."""
        return getattr(self._mine, "working", False)

    def before_fork(self) -> None:
        own = int(self.inside)
        if not self._changed.acquire(timeout=PATIENCE_SECONDS):
            return  # it cannot happen, and a fork must not hang on that
        try:
            self._forking += 1
            self._changed.wait_for(lambda: self._working <= own, PATIENCE_SECONDS)
        finally:
            self._changed.release()

    def after_fork(self) -> None:
        with self._changed:
            self._forking = max(0, self._forking - 1)
            self._changed.notify_all()


_gate = _Gate()
os.register_at_fork(before=_gate.before_fork, after_in_parent=_gate.after_fork, after_in_child=_gate.renew)


@contextmanager
def at_work() -> Iterator[None]:
    """Around what a thread of ours computes or writes: a fork waits until it is done."""
    if _gate.inside:
        yield
        return
    _gate.enter()
    try:
        yield
    finally:
        _gate.leave()


@contextmanager
def resting() -> Iterator[None]:
    """Inside of work, around a wait for the network or for the host's own code: nothing of ours is held."""
    if not _gate.inside:
        yield
        return
    _gate.leave()
    try:
        yield
    finally:
        _gate.enter()
