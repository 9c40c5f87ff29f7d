"""The circuit breaker of one plugin operation: the inner loop, local and within milliseconds.

Words and meanings follow resilience4j and Hystrix; starting values come from there (50 % from Hystrix) and from Envoy's
outlier detection (open time doubling to a cap of 300 s). It opens for two reasons: a share of the calls within a window
failed or was slow (the slow burn), or the last calls failed as this operation's own past never made calls fail (the hard
failure, `evidence`).

A closed breaker costs a success one addition, done by the caller in place (`calls`); only failures, slow calls and
probes take the lock. How many calls a window saw is the difference of `calls` between now and the window's start, and
how many succeeded between two failures is one as well.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from plugwarden.chance import chance
from plugwarden.contract import BreakerState
from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError
from plugwarden.given import number, whole

from .evidence import Evidence, after_failure, cleared, dismissed, is_hard

__all__ = ["Breaker", "BreakerPolicy", "Transition"]

MINIMUM_CALLS = 40
"""Hystrix has 20; but of 20 calls of an operation that ordinarily fails one in ten, ten fail about once in 100,000
windows. Of 40, twenty do once in 10^9; and what a smaller minimum would see sooner is seen by evidence."""
_SLOTS = 10
_REFUSING = frozenset({BreakerState.OPEN, BreakerState.FORCED_OPEN})
_PASSIVE = frozenset({BreakerState.DISABLED, BreakerState.METRICS_ONLY, BreakerState.FORCED_OPEN})
_UNKNOWN = Evidence()


@value
class BreakerPolicy:
    """When a breaker opens, and how it closes again."""

    window_seconds: float = 60.0
    """Failures are counted over this long."""
    window_calls: int | None = None
    """Number of last calls that are judged, whenever they were, in place of those within `window_seconds`."""
    minimum_calls: int | None = None
    """Rates are not judged on fewer calls within the window. None: `MINIMUM_CALLS`, or `window_calls` where that is less."""
    failure_rate: float = 0.5
    """It opens at this share of failed calls, in (0, 1]."""
    sudden: bool = True
    """It also opens, without regard to the window, as soon as the last calls show a hard failure: at eight failures in a
    row for an operation that hardly ever fails, at ten for one that fails one call in ten. False: by rates alone."""
    calls_per_false_opening: float = 3e8
    """Ordinary calls within which a hard failure is seen wrongly once at most."""
    slow_call_seconds: float | None = None
    """Calls that take longer are slow; none: the declared timeout, where there is one."""
    slow_call_rate: float = 1.0
    """It opens at this share of slow calls, in (0, 1]."""
    ignore: Callable[[Any], bool] | None = None
    """Given the exception raised or the value returned: True leaves the call out of the count."""
    record: Callable[[Any], bool] | None = None
    """Given the exception raised or the value returned: True counts a failure, False a success. None: exceptions are
    failures, and so is what the operation's `failed_result` names."""
    open_seconds: float = 5.0
    """How long it first stays open; doubles each time a probe fails."""
    open_max_seconds: float = 300.0
    """The longest it stays open."""
    jitter_ratio: float = 0.1
    """Open times are spread by this share, so that many hosts do not probe at one moment."""
    half_open_calls: int = 3
    """Probes that must all succeed to close it."""
    half_open_concurrent: int = 1
    """Probes that may run at the same time."""
    half_open_seconds: float = 30.0
    """With probes that never come back it opens again after this long."""

    def __post_init__(self) -> None:
        for name in ("failure_rate", "slow_call_rate"):
            value = getattr(self, name)
            if not 0 < number(value) <= 1:
                raise ConfigurationError(f"breaker.{name}: {value} is outside (0, 1]")
        for name in ("window_seconds", "open_seconds", "open_max_seconds", "half_open_seconds", "slow_call_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < number(value) < math.inf:
                raise ConfigurationError(f"breaker.{name}: {value} must be above 0 seconds, and finite")
        for name in ("minimum_calls", "half_open_calls", "half_open_concurrent", "window_calls"):
            value = getattr(self, name)
            if value is not None and not whole(value) >= 1:
                raise ConfigurationError(f"breaker.{name}: {value} must be a whole number, 1 or more")
        if self.window_calls is not None and self.window_calls < self.least_calls:
            raise ConfigurationError(
                f"breaker.window_calls: {self.window_calls} calls never reach minimum_calls ({self.minimum_calls})"
            )
        if self.open_max_seconds < self.open_seconds:
            raise ConfigurationError(
                f"breaker.open_max_seconds: {self.open_max_seconds:g} s is less than it is open at first"
                f" (open_seconds, {self.open_seconds:g})"
            )
        if not 0 <= number(self.jitter_ratio) <= 1:
            raise ConfigurationError(f"breaker.jitter_ratio: {self.jitter_ratio} is outside [0, 1]")
        if not 1_000 <= number(self.calls_per_false_opening) <= 1e30:
            raise ConfigurationError(
                f"breaker.calls_per_false_opening: {self.calls_per_false_opening} is outside 1000 to 1e30;"
                " to open by rates alone, set sudden to false"
            )

    @property
    def least_calls(self) -> int:
        """How many calls a window must hold for its rates to be judged."""
        if self.minimum_calls is not None:
            return self.minimum_calls
        return MINIMUM_CALLS if self.window_calls is None else min(MINIMUM_CALLS, self.window_calls)

    @property
    def evidence_bound(self) -> float:
        """The weight of evidence at which a hard failure is certain enough."""
        return math.log(self.calls_per_false_opening)


@value
class Transition:
    """One change of state."""

    before: BreakerState
    after: BreakerState
    reason: str
    """In a sentence, with the numbers that decided."""


class _Slot:
    """One tenth of a time window."""

    __slots__ = ("calls_before", "failures", "number", "slow")

    def __init__(self, number: int, calls_before: int) -> None:
        self.number = number
        self.calls_before = calls_before
        self.failures = self.slow = 0


class Breaker:
    """State and window of one operation. Every method takes the time (seconds of a monotonic clock) as an argument."""

    __slots__ = (
        "_bound",
        "_evidence",
        "_evidence_calls",
        "_failed_calls",
        "_half_open_since",
        "_lock",
        "_on_transition",
        "_open_until",
        "_openings",
        "_probes_good",
        "_probes_left",
        "_probes_out",
        "_round",
        "_since",
        "_slot_seconds",
        "_slots",
        "_slow_calls",
        "_spread",
        "_undecided",
        "calls",
        "policy",
        "refusing",
        "slot_ends_ns",
        "state",
    )

    def __init__(
        self,
        policy: BreakerPolicy,
        *,
        on_transition: Callable[[Transition], None] = lambda transition: None,
        spread: Callable[[], float] = chance,
    ) -> None:
        self.policy = policy
        self.state = BreakerState.CLOSED
        """Read by the gate without the lock: a stale read lets one call more through, or refuses one more."""
        self.refusing = False
        """Whether `admit` has to be asked before a call."""
        self.calls = 0
        """Finished calls that count. Callers add to it in place; an addition lost between threads does no harm."""
        self.slot_ends_ns = -1
        """From this moment on `turn` is due before a call is counted."""
        self._on_transition = on_transition
        self._spread = spread
        self._lock = threading.Lock()
        self._slot_seconds = policy.window_seconds / _SLOTS
        self._slots: list[_Slot] = []  # ten at most; an empty deque would take ten times an empty list's room
        self._failed_calls: deque[int] | None = None  # of a window of calls: the numbers of those that failed
        self._slow_calls: deque[int] | None = None
        if policy.window_calls is not None:
            self._failed_calls, self._slow_calls = deque(), deque()
        self._since = 0  # `calls` when the window was last emptied
        self._bound = policy.evidence_bound
        self._evidence = _UNKNOWN
        self._evidence_calls = 0  # `calls` just after the failure that the evidence ends with
        self._open_until = 0.0
        self._openings = 0
        self._probes_left = 0
        self._probes_out = 0
        self._probes_good = 0
        self._half_open_since = 0.0
        self._round = 0
        """Counts half-open times, so that a probe is told from calls that began before."""
        self._undecided: list[int] = []
        """Probes that were left undecided and are not given back yet."""

    def renew_lock(self) -> None:
        """After a fork: the lock may be held by a thread that does not exist in the child."""
        self._lock = threading.Lock()

    def admit(self, now: float) -> int | None:
        """None when a call must not run; 0 when it may; above 0 when it runs as a probe: hand that to `record`."""
        if not self.refusing:
            return 0
        with self._lock:
            if self.state is BreakerState.OPEN and now >= self._open_until:
                self._half_open_since = now
                self._probes_left = self.policy.half_open_calls
                self._probes_out = 0
                self._probes_good = 0
                self._round += 1
                self._move(BreakerState.HALF_OPEN, f"{self.policy.half_open_calls} calls may probe")
            if self.state is BreakerState.HALF_OPEN:
                while self._undecided:
                    self._give_back(self._undecided.pop())
                if self._probes_left > 0 and self._probes_out < self.policy.half_open_concurrent:
                    self._probes_left -= 1
                    self._probes_out += 1
                    return self._round
                if now - self._half_open_since >= self.policy.half_open_seconds:
                    self._open(now, f"probes did not come back within {self.policy.half_open_seconds:g} s")
                return None
            return None if self.refusing else 0

    def retry_after_seconds(self, now: float) -> float | None:
        """How long a refused caller should wait: until the next probe, or while probes run until they must be back, as
        far as it was ever open for; None where that is an operator's to say."""
        if self.state is BreakerState.OPEN:
            return max(0.0, self._open_until - now)
        if self.state is BreakerState.HALF_OPEN:
            left = self._half_open_since + self.policy.half_open_seconds - now
            return max(0.0, min(left, self.policy.open_seconds))
        return None

    def give_back(self, probe: int) -> None:
        """A probe ended without a verdict (it was cancelled, or the caller's fault): another call may probe."""
        with self._lock:
            self._give_back(probe)

    def leave_undecided(self, probe: int) -> None:
        """The same where no lock may be taken, as in a finalizer: it is given back when the next call asks."""
        self._undecided.append(probe)

    def _give_back(self, probe: int) -> None:
        if probe and probe == self._round and self.state is BreakerState.HALF_OPEN:
            self._probes_left += 1
            self._probes_out -= 1

    def turn(self, now_ns: int) -> None:
        """Begin a new slot of the time window. Only calls counted after this belong to it."""
        with self._lock:
            self._turn(now_ns / 1e9)

    def record(self, failed: bool, now: float, probe: int = 0, *, slow: bool = False) -> None:
        """Count one finished call. `probe` is what `admit` answered: only probes decide a half-open breaker."""
        if self.state is BreakerState.DISABLED:
            return
        with self._lock:
            if now * 1e9 >= self.slot_ends_ns:
                self._turn(now)
            before = self.calls
            self.calls = before + 1
            if failed or slow:
                slot = self._slots[-1]
                slot.failures += failed
                slot.slow += slow
                if self._failed_calls is not None and self._slow_calls is not None:
                    self._mark(self._failed_calls, failed)
                    self._mark(self._slow_calls, slow)
            if self.state is BreakerState.HALF_OPEN:
                if probe == self._round:
                    self._judge_probe(failed or slow, now)
            elif (failed or slow) and self.state is BreakerState.CLOSED:
                if failed and self.policy.sudden:
                    self._judge_evidence(before, now)
                if self.state is BreakerState.CLOSED:
                    self._judge_window(now)

    def force(self, state: BreakerState, reason: str) -> None:
        """An operator's hand: FORCED_OPEN, DISABLED, METRICS_ONLY, or CLOSED to give it back."""
        with self._lock:
            if state is BreakerState.CLOSED or state in _PASSIVE:
                self._empty()
                self._openings = 0
                self._move(state, reason)
            else:
                raise ValueError(f"a breaker cannot be forced to {state.word}")

    def _turn(self, now: float) -> None:
        number = int(now / self._slot_seconds)
        slots = self._slots
        if not slots or slots[-1].number < number:
            slots.append(_Slot(number, self.calls))
            while slots[0].number <= number - _SLOTS:
                del slots[0]
        self.slot_ends_ns = int((number + 1) * self._slot_seconds * 1e9)

    def _mark(self, marked: deque[int], applies: bool) -> None:
        if applies:
            marked.append(self.calls)
        while marked and marked[0] <= self.calls - (self.policy.window_calls or 0):
            marked.popleft()

    def _empty(self) -> None:
        self._slots.clear()
        if self._failed_calls is not None and self._slow_calls is not None:
            self._failed_calls.clear()
            self._slow_calls.clear()
        self._since = self._evidence_calls = self.calls
        self._evidence = cleared(self._evidence)
        self.slot_ends_ns = -1

    def _judge_probe(self, failed: bool, now: float) -> None:
        self._probes_out -= 1
        if failed:
            self._open(now, "a probe failed")
            return
        self._probes_good += 1
        if self._probes_good >= self.policy.half_open_calls:
            self._empty()
            self._openings = 0
            self._move(BreakerState.CLOSED, f"{self._probes_good} probes succeeded")

    def _judge_evidence(self, calls_before: int, now: float) -> None:
        policy = self.policy
        known = after_failure(
            self._evidence, calls_before - self._evidence_calls, now, fades_seconds=policy.open_max_seconds
        )
        self._evidence_calls = self.calls
        if known.weight < self._bound:
            self._evidence = known
        elif is_hard(known, bound=self._bound, failure_rate=policy.failure_rate):
            self._evidence = cleared(known)
            ordinary = f"where {known.ordinary_ratio:.2g} of the calls are ordinary"
            self._open(now, f"{known.failures} of the last {known.calls} calls failed, {ordinary}")
        else:
            # Far beyond what was ordinary, but less than what the policy bears: that is what this operation does now.
            self._evidence = dismissed(known)

    def _judge_window(self, now: float) -> None:
        policy = self.policy
        if policy.window_calls is not None and self._failed_calls is not None and self._slow_calls is not None:
            calls = min(policy.window_calls, self.calls - self._since)
            failures, slow = len(self._failed_calls), len(self._slow_calls)
            window = f"of the last {calls} calls"
        else:
            calls = self.calls - self._slots[0].calls_before
            failures, slow = sum(slot.failures for slot in self._slots), sum(slot.slow for slot in self._slots)
            window = f"of {calls} calls within {policy.window_seconds:g} s"
        if calls < policy.least_calls:
            return
        if failures / calls >= policy.failure_rate:
            self._open(now, f"{failures} {window} failed")
        elif slow / calls >= policy.slow_call_rate:
            self._open(now, f"{slow} {window} were slow")

    def _open(self, now: float, reason: str) -> None:
        seconds = min(self.policy.open_seconds * 2**self._openings, self.policy.open_max_seconds)
        seconds *= 1 + self.policy.jitter_ratio * self._spread()
        self._openings = min(self._openings + 1, 32)
        self._open_until = now + seconds
        self._move(BreakerState.OPEN, f"{reason}; open for {seconds:.1f} s")

    def _move(self, state: BreakerState, reason: str) -> None:
        before, self.state = self.state, state
        self.refusing = state in _REFUSING or state is BreakerState.HALF_OPEN
        if before is not state:
            self._on_transition(Transition(before, state, reason))
