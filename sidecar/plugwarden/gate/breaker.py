"""The circuit breaker of one plugin operation: the inner loop, local and within milliseconds.

Words and meanings follow resilience4j and Hystrix; starting values come from there (minimum of 20 calls and 50 % from
Hystrix) and from Envoy's outlier detection (open time doubling to a cap of 300 s).
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from plugwarden.contract import BreakerState
from plugwarden.errors import ConfigurationError

__all__ = ["Breaker", "BreakerPolicy", "Transition"]

_SLOTS = 10
_REFUSING = frozenset({BreakerState.OPEN, BreakerState.FORCED_OPEN})
_PASSIVE = frozenset({BreakerState.DISABLED, BreakerState.METRICS_ONLY, BreakerState.FORCED_OPEN})


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens, and how it closes again."""

    window_seconds: float = 60.0
    """Failures are counted over this long."""
    minimum_calls: int = 20
    """It never opens on fewer calls within the window."""
    failure_rate: float = 0.5
    """It opens at this share of failed calls, in (0, 1]."""
    open_seconds: float = 5.0
    """How long it first stays open; doubles each time a probe fails."""
    open_max_seconds: float = 300.0
    """The longest it stays open."""
    jitter_ratio: float = 0.1
    """Open times are spread by this share, so that many hosts do not probe at one moment."""
    half_open_calls: int = 3
    """Probes that must all succeed to close it."""
    half_open_seconds: float = 30.0
    """With probes that never come back it opens again after this long."""

    def __post_init__(self) -> None:
        if not 0 < self.failure_rate <= 1:
            raise ConfigurationError(f"breaker.failure_rate: {self.failure_rate} is outside (0, 1]")
        for name in ("window_seconds", "open_seconds", "open_max_seconds", "half_open_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"breaker.{name}: must be above 0")
        if self.minimum_calls < 1 or self.half_open_calls < 1:
            raise ConfigurationError("breaker.minimum_calls and breaker.half_open_calls: must be 1 or more")


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state."""

    before: BreakerState
    after: BreakerState
    reason: str
    """In a sentence, with the numbers that decided."""


class Breaker:
    """State and window of one operation. Every method takes the time (seconds of a monotonic clock) as an argument."""

    def __init__(
        self,
        policy: BreakerPolicy,
        *,
        on_transition: Callable[[Transition], None] = lambda transition: None,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy
        self.state = BreakerState.CLOSED
        """Read by the gate without the lock: a stale read lets one call more through, or refuses one more."""
        self._on_transition = on_transition
        self._spread = spread
        self._lock = threading.Lock()
        self._slot_seconds = policy.window_seconds / _SLOTS
        self._slots: deque[list[float]] = deque()  # [slot number, calls, failures], oldest first
        self._open_until = 0.0
        self._openings = 0
        self._probes_left = 0
        self._probes_good = 0
        self._half_open_since = 0.0
        self._round = 0
        """Counts half-open times, so that a probe is told from calls that began before."""

    def renew_lock(self) -> None:
        """After a fork: the lock may be held by a thread that does not exist in the child."""
        self._lock = threading.Lock()

    def admit(self, now: float) -> int | None:
        """None when a call must not run; 0 when it may; above 0 when it runs as a probe: hand that to `record`."""
        state = self.state
        if state not in _REFUSING and state is not BreakerState.HALF_OPEN:
            return 0
        with self._lock:
            if self.state is BreakerState.OPEN and now >= self._open_until:
                self._half_open_since = now
                self._probes_left = self.policy.half_open_calls
                self._probes_good = 0
                self._round += 1
                self._move(BreakerState.HALF_OPEN, f"{self.policy.half_open_calls} calls may probe")
            if self.state is BreakerState.HALF_OPEN:
                if self._probes_left > 0:
                    self._probes_left -= 1
                    return self._round
                if now - self._half_open_since >= self.policy.half_open_seconds:
                    self._open(now, f"probes did not come back within {self.policy.half_open_seconds:g} s")
                return None
            return None if self.state in _REFUSING else 0

    def retry_after_seconds(self, now: float) -> float | None:
        """How long a refused caller should wait, where that is known."""
        return max(0.0, self._open_until - now) if self.state is BreakerState.OPEN else None

    def give_back(self, probe: int) -> None:
        """A probe ended without a verdict (it was cancelled, or the caller's fault): another call may probe."""
        with self._lock:
            if probe and probe == self._round and self.state is BreakerState.HALF_OPEN:
                self._probes_left += 1

    def record(self, failed: bool, now: float, probe: int = 0) -> None:
        """Count one finished call. `probe` is what `admit` answered: only probes decide a half-open breaker."""
        if self.state is BreakerState.DISABLED:
            return
        with self._lock:
            slot = int(now / self._slot_seconds)
            slots = self._slots
            if not slots or slots[-1][0] < slot:
                slots.append([slot, 0, 0])
                while slots[0][0] <= slot - _SLOTS:
                    slots.popleft()
            slots[-1][1] += 1
            slots[-1][2] += failed
            if self.state is BreakerState.HALF_OPEN:
                if probe == self._round:
                    self._judge_probe(failed, now)
            elif failed and self.state is BreakerState.CLOSED:
                self._judge_window(now)

    def force(self, state: BreakerState, reason: str) -> None:
        """An operator's hand: FORCED_OPEN, DISABLED, METRICS_ONLY, or CLOSED to give it back."""
        with self._lock:
            if state is BreakerState.CLOSED or state in _PASSIVE:
                self._slots.clear()
                self._openings = 0
                self._move(state, reason)
            else:
                raise ValueError(f"a breaker cannot be forced to {state.word}")

    def _judge_probe(self, failed: bool, now: float) -> None:
        if failed:
            self._open(now, "a probe failed")
            return
        self._probes_good += 1
        if self._probes_good >= self.policy.half_open_calls:
            self._slots.clear()
            self._openings = 0
            self._move(BreakerState.CLOSED, f"{self._probes_good} probes succeeded")

    def _judge_window(self, now: float) -> None:
        calls = sum(slot[1] for slot in self._slots)
        failures = sum(slot[2] for slot in self._slots)
        if calls >= self.policy.minimum_calls and failures / calls >= self.policy.failure_rate:
            self._open(now, f"{failures:.0f} of {calls:.0f} calls failed within {self.policy.window_seconds:g} s")

    def _open(self, now: float, reason: str) -> None:
        seconds = min(self.policy.open_seconds * 2**self._openings, self.policy.open_max_seconds)
        seconds *= 1 + self.policy.jitter_ratio * self._spread()
        self._openings = min(self._openings + 1, 32)
        self._open_until = now + seconds
        self._move(BreakerState.OPEN, f"{reason}; open for {seconds:.1f} s")

    def _move(self, state: BreakerState, reason: str) -> None:
        before, self.state = self.state, state
        if before is not state:
            self._on_transition(Transition(before, state, reason))
