"""One wrapped operation of one plugin version: what was declared, its gate, and what is running."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Protocol

from plugwarden.contract import Criticality, ErrorSource, QuarantineState, RejectionReason, Scope
from plugwarden.contract.metrics import CPU_SAMPLED_CALLS
from plugwarden.declaration import Declaration
from plugwarden.fallback import Fallback
from plugwarden.gate import Breaker, Bulkhead, CpuQuota, RateLimit, Rule
from plugwarden.gate.refusal import Refusal
from plugwarden.invocation import Invocation
from plugwarden.world import World

__all__ = ["CPU_SAMPLE_MASK", "NEVER_NS", "Operation"]

CPU_SAMPLE_MASK = CPU_SAMPLED_CALLS - 1
"""Bits of a call's number that are 0 where its CPU time is read. Where CPU time is a quota, every call is measured."""
DETAILED_FAILURES = 64
"""Stack traces kept per operation between two exports: in a storm of errors one stands for many."""
NEVER_NS = sys.maxsize
_REAL = World()
_NOWHERE: deque[Any] = deque(maxlen=0)


class Rollback(Protocol):
    """The way back to an earlier version (shim/rollback.py)."""

    operation: Operation


class Operation:
    """Made once at wrap time; its `rules` are exchanged whole whenever directives change.

    The attributes without a leading underscore are read by the wrappers on every call.
    """

    __slots__ = (
        "__weakref__",
        "answers",
        "append",
        "asked_per_second",
        "attend",
        "breaker",
        "bulkhead",
        "calls",
        "cell",
        "chance",
        "choose",
        "clock",
        "code",
        "count",
        "cpu_quota",
        "declaration",
        "details_left",
        "failing_source",
        "fallbacks",
        "faults",
        "gap",
        "guarded",
        "inspects",
        "judges",
        "keep_at",
        "keep_every_ns",
        "keeps",
        "kept_until_ns",
        "limit",
        "limit_ns",
        "longest_ns",
        "peak_running",
        "rate",
        "rollback",
        "rules",
        "runners",
        "running",
        "sample_mask",
        "scope",
        "slow_ns",
        "slowest_ns",
        "tally",
        "timeout_ns",
        "told",
        "told_ns",
        "waiting",
        "watch",
    )

    def __init__(
        self,
        scope: Scope,
        declaration: Declaration,
        *,
        attend: Callable[[], None] = lambda: None,
        world: World = _REAL,
    ) -> None:
        self.scope = scope
        """Plugin, version, operation and instance."""
        self.append: Callable[[Invocation], None] = _NOWHERE.append
        """Takes a finished invocation: a deque's own method, so it neither raises nor blocks."""
        self.tally: deque[int] = deque()
        """Durations (ns) of plain successes that wait for the fold."""
        self.count: Callable[[int], None] = self.tally.append
        """Takes the duration of a plain success of which no span will be made."""
        self.choose: Callable[[Invocation], None] = _NOWHERE.append
        """Takes a plain success whose span is kept as one of the share that is."""
        self.gap: Callable[[], int] = lambda: sys.maxsize
        """How many plain successes to leave out until the next that is kept, drawn anew each time."""
        self.keep_at = -1
        """The number of the next call that is kept; below 0: all go to `append`, which decides."""
        self.keep_every_ns = 0
        """The least time between two that are kept for their share, on average; 0: no bound."""
        self.kept_until_ns = 0
        """Performance counter up to which those that were kept have used that time."""
        self.slowest_ns = 0
        """The slowest plain success of this interval."""
        self.attend = attend
        """Called now and then from a caller's thread: starts the background, and helps it when it cannot keep up."""
        self.clock, self.chance = world.clock, world.chance
        self.failing_source: ErrorSource | None = None
        """Who was to blame for the last call that counted as failed for the breaker."""
        self.faults = 0
        """Errors inside the shim itself; none of them reached a caller."""
        self.running: set[Any] = set()
        """The invocations that run now, and jobs abandoned by the thread runner. Single operations on a set are atomic."""
        self.waiting: Collection[Any] = ()
        """What waits for a place in the bulkhead."""
        self.calls = 0
        """Calls so far; an addition lost between threads does no harm."""
        self.peak_running = 0
        """The most seen running at once since the last export."""
        self.asked_per_second = 0.0
        """Calls that asked its rate limit, as of the last export, over a minute."""
        self.told: tuple[Any, ...] = ()
        """The gauges as last exported, and when (ns)."""
        self.told_ns = 0
        self.longest_ns = 0
        """The longest call since the last export."""
        self.details_left = DETAILED_FAILURES
        self.cell: Any = None
        """Where the aggregator counts plain successes."""
        self.code = 0
        """What a word of the journal's ring begins with; 0: the journal has no name for it yet."""
        self.rules: tuple[Rule, ...] = ()
        """What directives say about this operation."""
        self.breaker: Breaker | None = None
        self.rollback: Rollback | None = None
        """Where calls go that a directive for this version alone refuses, as it was declared last: each form has its own."""
        self.answers: dict[str, int] = {}
        """What became of calls of all forms that something else was to answer, and how often: `previous`, and as in `fallback.py`.
        A statistic, exact enough between threads."""
        self.fallbacks: weakref.WeakSet[Fallback] = weakref.WeakSet()
        """Those of the forms that are still held."""
        self.keeps = self.judges = False
        """Whether any form ever wanted to know good results, or to say something of results or arguments."""
        self.runners: weakref.WeakSet[Any] = weakref.WeakSet()
        """Process runners in use: one, or more while an earlier form of the same operation is still held."""
        self.watch: Callable[[Operation], None] = lambda operation: None
        """Called now and then from inside a wrapped coroutine, to have its event loop watched."""
        self.declaration = Declaration()
        self.bulkhead: Bulkhead | None = None
        self.limit = sys.maxsize
        self.rate: RateLimit | None = None
        self.cpu_quota: CpuQuota | None = None
        self.declare(declaration)

    def declare(self, declaration: Declaration) -> None:
        """Take new terms, as a reload does. The breaker's state stays, and so does what was used of a limit whose terms are the
        same: a host that wraps for each request gives nobody a new allowance."""
        before = self.declaration
        self.declaration = declaration
        if declaration.fallback is not None:
            self.fallbacks.add(declaration.fallback)
        timeout = declaration.timeout_seconds
        self.timeout_ns = 0 if timeout is None else int(timeout * 1e9)
        slow = declaration.slow_call_seconds
        self.slow_ns = NEVER_NS if slow is None else int(slow * 1e9)
        self.limit_ns = min(self.timeout_ns or NEVER_NS, self.slow_ns)
        """A success that took longer is looked at more closely."""
        for keeper in declaration.keepers:
            keeper.clock, self.keeps = self.clock, True
        if declaration.bulkhead != before.bulkhead:
            if self.bulkhead is not None:
                self.bulkhead.change(declaration.bulkhead)
            if declaration.bulkhead is None:
                self.bulkhead = None
            elif self.bulkhead is None:
                self.bulkhead = Bulkhead(declaration.bulkhead, self.running)
            self.limit = sys.maxsize if declaration.bulkhead is None else declaration.bulkhead.concurrent
            self.waiting = () if self.bulkhead is None else self.bulkhead.waiting
        if declaration.rate != before.rate:
            self.rate = None if declaration.rate is None else RateLimit(declaration.rate)
        quota = declaration.quota
        share = None if quota is None else quota.cpu_share
        if share != (None if before.quota is None else before.quota.cpu_share):
            self.cpu_quota = None if share is None else CpuQuota(share)
        self.sample_mask = CPU_SAMPLE_MASK if share is None else 0
        policy = declaration.breaker
        self.judges = self.judges or bool(declaration.failed_result or declaration.capture)
        self.inspects = bool(
            self.judges
            or self.keeps
            or (quota is not None and quota.output_bytes)
            or (policy is not None and (policy.ignore or policy.record))
        )
        """Whether results or arguments are looked at."""
        self.reguard()

    def reguard(self) -> None:
        """Work out anew whether a call has to be decided on; after a change of rules, breaker or terms."""
        breaker = self.breaker
        self.guarded = bool(
            self.rules
            or self.inspects
            or self.rate is not None
            or self.cpu_quota is not None
            or (breaker is not None and breaker.refusing)
        )

    @property
    def name(self) -> str:
        """The span's name: `plugin operation`, low in cardinality."""
        return f"{self.scope.plugin} {self.scope.operation}"

    @property
    def fails_closed(self) -> bool:
        """Whether a fault of the gate itself refuses the call."""
        return self.declaration.criticality is Criticality.SECURITY

    @property
    def quarantine_state(self) -> QuarantineState:
        """The state that the directives in force hold this operation in, leaving tenants aside."""
        for rule in self.rules:
            if rule.tenant is None:
                if rule.share_ratio >= 1.0:
                    return QuarantineState.HEALTHY
                return QuarantineState.QUARANTINED if rule.share_ratio == 0.0 else QuarantineState.PROBATION
        return QuarantineState.HEALTHY

    # -- before the call ------------------------------------------------------------------------------------------------

    def give_back(self, invocation: Invocation) -> None:
        """The call does not run after all, or says nothing: another may be the probe."""
        if invocation.probe and self.breaker is not None:
            self.breaker.give_back(invocation.probe)

    def withdraw(self, invocation: Invocation | None) -> None:
        """The call does not begin as an invocation: its place and its probe are another's."""
        if invocation is None:
            return
        try:
            self.release(invocation)
            self.give_back(invocation)
            invocation.probe = 0
        except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
            self.faults += 1

    def fault(self, invocation: Invocation | None = None) -> Refusal | None:
        """The shim itself failed before the call, whose invocation is withdrawn. None: the call runs unobserved; else it is
        refused (fails closed)."""
        self.faults += 1
        self.withdraw(invocation)
        if self.fails_closed:
            return Refusal(RejectionReason.GATE_FAULT, "the gate failed, and this plugin is declared to fail closed")
        return None

    # -- after the call -------------------------------------------------------------------------------------------------

    def release(self, entry: Any) -> None:
        """Give a place back: it goes to the next that waits."""
        self.running.discard(entry)
        if self.waiting and self.bulkhead is not None:
            self.bulkhead.leave(entry)

    def keep(self, invocation: Invocation, tick: int) -> None:
        """Record the `tick`-th call, a plain success whose turn it is to be kept."""
        self.keep_at = tick + 1 + self.gap()
        if self.may_keep(invocation):
            self.choose(invocation)
        else:
            self.count(invocation.duration_ns)

    def may_keep(self, invocation: Invocation) -> bool:
        """Whether there is room for one more that is kept for its share: a bucket that holds a second's worth, as in RFC 2697.
        An update lost between threads keeps one more."""
        ended_ns = invocation.started_ns + invocation.duration_ns
        used_ns = max(self.kept_until_ns, ended_ns)
        if used_ns - ended_ns > max(0, 1_000_000_000 - self.keep_every_ns):
            return False
        self.kept_until_ns = used_ns + self.keep_every_ns
        return True

    def detach(self, detach: Callable[[Any], None], token: Any) -> None:
        """Leave the invocation's context, also where the call is torn down in another one (a coroutine that is closed)."""
        try:
            detach(token)
        except ValueError:
            pass  # that context ends with the call: there is nothing to restore in this one
        except Exception:  # noqa: BLE001 - an error of ours must not replace the plugin's
            self.faults += 1

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child, where nothing runs, nothing was counted, and no lock is held."""
        self.running.clear()
        self.tally.clear()
        self.calls = self.code = 0  # the first call is looked at, as in any process
        self.keep_at = self.gap() if self.keep_at >= 0 else -1
        self.slowest_ns = 0
        self.peak_running = self.longest_ns = self.told_ns = 0
        self.asked_per_second = 0.0
        self.details_left = DETAILED_FAILURES
        self.cell = None  # it belongs to the parent's aggregator
        self.told = ()
        for part in (self.breaker, self.bulkhead, self.rate, self.cpu_quota, *self.fallbacks):
            if part is not None:
                part.renew_lock()
