"""The clock that loops are given, so that tests and backtests can bring their own; and the one that is not led astray.

A wall clock may step: an NTP server or a real-time clock that is wrong moves it by days for minutes. Holds, budgets and retention
must not follow. `TrustedClock` goes on by the machine's steady clock while the wall clock is somewhere else, and takes the new
place for true once it has been there for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = [
    "Clock",
    "Step",
    "Timekeeping",
    "TrustedClock",
    "boot_identity",
    "follow",
    "resume",
    "steady_seconds",
    "utc_now",
]

Clock = Callable[[], datetime]
"""Answers the time as UTC without a zone, as the database stores it."""

STEP_SECONDS = 2.0
"""The wall clock further off than this has stepped. ntpd and chrony slew what is less than 0.128 s and 1 s, and step what is more."""
SLEW_RATIO = 0.1
"""Closer, it is followed, this fast at most (chrony slews by up to 1/12): a clock in small steps is a clock that steps."""
SETTLE_SECONDS = 300.0
"""At its new place for so long, the wall clock is taken for true: a wrong time server is put right, or voted out, within minutes."""
_READ_SECONDS = 0.1
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Step:
    """The wall clock is somewhere else."""

    seconds: float
    """How far ahead of the time that is kept; negative: behind."""
    since: float
    """Since when it has been there, in steady seconds."""
    began_at: datetime
    """When it left, in the time that is kept."""


@dataclass(frozen=True, slots=True)
class Timekeeping:
    """What is known of the time at one reading of both clocks."""

    at: datetime
    """The time that is kept. It goes back only where the wall clock, behind for long enough, is taken for true."""
    steady: float
    """The steady clock then, seconds."""
    step: Step | None = None
    adopted_seconds: float = 0.0
    """Seconds of all steps that were taken for true: what is to happen after a length of time moves by as much."""


def follow(kept: Timekeeping, wall: datetime, steady: float) -> Timekeeping:
    """The time one reading of both clocks later. Pure."""
    elapsed = max(0.0, steady - kept.steady)
    expected = kept.at + timedelta(seconds=elapsed)
    off = (wall - expected).total_seconds()
    if abs(off) <= STEP_SECONDS:
        slewed = min(max(off, -SLEW_RATIO * elapsed), SLEW_RATIO * elapsed)
        return replace(kept, at=expected + timedelta(seconds=slewed), steady=steady, step=None)
    if kept.step is None:
        return replace(kept, at=expected, steady=steady, step=Step(off, steady, expected))
    if abs(off - kept.step.seconds) > STEP_SECONDS:  # it moved on
        return replace(kept, at=expected, steady=steady, step=replace(kept.step, seconds=off, since=steady))
    if steady - kept.step.since < SETTLE_SECONDS:
        return replace(kept, at=expected, steady=steady)
    return Timekeeping(wall, steady, None, kept.adopted_seconds + off)


def resume(kept: Timekeeping, wall: datetime, steady: float, *, same_boot: bool) -> Timekeeping:
    """The time after a restart of the process, from what was kept before it. Pure.

    While the machine runs its steady clock tells how long the process was away. After a boot nothing does: then time has at
    least not gone back.
    """
    if same_boot and steady >= kept.steady:
        return follow(kept, wall, steady)
    return follow(Timekeeping(max(kept.at, wall), steady, None, kept.adopted_seconds), wall, steady)


class TrustedClock:
    """A `Clock`, for any thread."""

    def __init__(
        self,
        kept: Timekeeping | None = None,
        *,
        wall: Clock | None = None,
        steady: Callable[[], float] | None = None,
        same_boot: bool = False,
    ) -> None:
        """`kept`: what was stored before a restart, and whether the machine has been running since."""
        self._wall, self._steady = wall or utc_now, steady or steady_seconds
        self._lock = threading.Lock()
        now, seconds = self._read()
        fresh = Timekeeping(now, seconds)
        self._kept = fresh if kept is None else resume(kept, now, seconds, same_boot=same_boot)

    def __call__(self) -> datetime:
        return self.reading().at

    def reading(self) -> Timekeeping:
        """What is known of the time now."""
        with self._lock:
            self._kept = follow(self._kept, *self._read())
            return self._kept

    def now_ns(self) -> int:
        """Nanoseconds since 1970."""
        return (self() - datetime(1970, 1, 1)) // timedelta(microseconds=1) * 1000

    def _read(self) -> tuple[datetime, float]:
        """Both clocks at one moment: a process that was held up between them must not take that for a step."""
        for _ in range(10):
            before, wall, after = self._steady(), self._wall(), self._steady()
            if after - before < _READ_SECONDS:
                break
        return wall, after


def utc_now() -> datetime:
    """The wall clock's time."""
    return datetime.now(UTC).replace(tzinfo=None)


def steady_seconds() -> float:
    """Seconds on a clock that nobody sets; it runs while the machine sleeps, where the system has such a one."""
    which = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if which is None else time.clock_gettime(which)


def boot_identity() -> str:
    """Another one after every boot of the machine; empty where the system does not tell."""
    try:
        return _BOOT.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
