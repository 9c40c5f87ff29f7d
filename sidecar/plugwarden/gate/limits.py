"""Rates and quotas: how often an operation may be called, and what it may use up. Time is an argument."""

from __future__ import annotations

import threading
from collections import deque

from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError
from plugwarden.given import number, whole

__all__ = ["CpuQuota", "QuotaPolicy", "RateLimit", "RatePolicy"]

_CPU_WINDOW_SECONDS = 10.0
"""CPU use is judged over this long: a burst may use it all at once, and pays for it afterwards."""
_CPU_SLOTS = 10


@value
class RatePolicy:
    """How often an operation may be called: a token bucket."""

    calls_per_second: float
    """Tokens that come back each second."""
    burst: int | None = None
    """Tokens there are at most; none: one second's worth, at least one."""

    def __post_init__(self) -> None:
        if not number(self.calls_per_second) > 0:
            raise ConfigurationError(f"rate.calls_per_second: must be above 0; got {self.calls_per_second!r:.100}")
        if self.burst is not None and not whole(self.burst) >= 1:
            raise ConfigurationError(f"rate.burst: must be 1 or more, a whole number; got {self.burst!r:.100}")

    @property
    def capacity(self) -> float:
        """Tokens in a full bucket."""
        return float(self.burst if self.burst is not None else max(1.0, self.calls_per_second))


@value
class QuotaPolicy:
    """What an operation may use up."""

    cpu_share: float | None = None
    """CPU seconds per second, over 10 s. In the host's process it is an estimate from a sample of calls; past it, calls
    are refused until the share is met again."""
    memory_bytes: int | None = None
    """Resident memory of a worker process; past it the worker is killed. Needs `runner="process"`."""
    output_bytes: int | None = None
    """Size of a result: of bytes and text in the host's process, of anything as sent in a worker process."""

    def __post_init__(self) -> None:
        for name in ("cpu_share", "memory_bytes", "output_bytes"):
            value = getattr(self, name)
            if value is not None and not number(value) > 0:
                raise ConfigurationError(f"quota.{name}: must be above 0; got {value!r:.100}")


class RateLimit:
    """A token bucket."""

    __slots__ = ("_at", "_lock", "_tokens", "policy")

    def __init__(self, policy: RatePolicy) -> None:
        self.policy = policy
        self._tokens = policy.capacity
        self._at: float | None = None
        self._lock = threading.Lock()

    def renew_lock(self) -> None:
        """After a fork."""
        self._lock = threading.Lock()

    def take(self, now: float) -> float:
        """Take a token; 0 when there was one, else the seconds until there is."""
        with self._lock:
            if self._at is not None:
                gained = max(0.0, now - self._at) * self.policy.calls_per_second
                self._tokens = min(self.policy.capacity, self._tokens + gained)
            self._at = now
            if self._tokens >= 1.0:
                self._tokens -= 1.0
                return 0.0
            return (1.0 - self._tokens) / self.policy.calls_per_second


class CpuQuota:
    """CPU seconds used within the window, and whether that is too much."""

    __slots__ = ("_lock", "_slots", "_used", "share")

    def __init__(self, share: float) -> None:
        self.share = share
        self._slots: deque[list[float]] = deque()  # [slot number, CPU seconds]
        self._used = 0.0
        self._lock = threading.Lock()

    def renew_lock(self) -> None:
        """After a fork."""
        self._lock = threading.Lock()

    def spend(self, seconds: float, now: float) -> None:
        """Count CPU time used until now."""
        with self._lock:
            self._expire(now)
            slot = int(now * _CPU_SLOTS / _CPU_WINDOW_SECONDS)
            if not self._slots or self._slots[-1][0] < slot:
                self._slots.append([slot, 0.0])
            self._slots[-1][1] += seconds
            self._used += seconds

    def exceeded(self, now: float) -> float:
        """0 while there is room; else the seconds until enough of the window has passed."""
        with self._lock:
            self._expire(now)
            allowed = self.share * _CPU_WINDOW_SECONDS
            if self._used < allowed:
                return 0.0
            left = self._used
            for slot, seconds in self._slots:
                left -= seconds
                if left < allowed:
                    ends = (slot + 1 + _CPU_SLOTS) * _CPU_WINDOW_SECONDS / _CPU_SLOTS
                    return float(max(0.001, ends - now))
            return _CPU_WINDOW_SECONDS

    def _expire(self, now: float) -> None:
        oldest = int(now * _CPU_SLOTS / _CPU_WINDOW_SECONDS) - _CPU_SLOTS
        while self._slots and self._slots[0][0] < oldest:
            self._used -= self._slots.popleft()[1]
        if not self._slots:
            self._used = 0.0
