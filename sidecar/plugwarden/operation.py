"""One wrapped operation of one plugin version: what was declared, its gate, and what is running."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Callable, Collection
from time import thread_time_ns
from typing import Any, Protocol

from plugwarden.contract import Criticality, ErrorSource, Outcome, QuarantineState, RejectionReason, Scope
from plugwarden.declaration import Declaration
from plugwarden.errors import QuotaExceeded
from plugwarden.fallback import FAILED, REFUSED, TIMED_OUT, Fallback, LastGood
from plugwarden.gate import Breaker, Bulkhead, BulkheadPolicy, CpuQuota, RateLimit, Rule
from plugwarden.gate.refusal import REFUSALS, Refusal
from plugwarden.inspection import is_a, type_name
from plugwarden.invocation import Failure, Invocation, current_invocation
from plugwarden.outcomes import blame
from plugwarden.world import World

__all__ = ["CPU_SAMPLE_MASK", "NEVER_NS", "NOTHING", "Operation", "tell_parent"]

CPU_SAMPLE_MASK = 63
"""CPU time is read for one call in 64: a read of the thread's CPU clock costs as much as all the rest of the record.
Where CPU time is a quota, every call is measured."""
DETAILED_FAILURES = 64
"""Stack traces kept per operation between two exports: in a storm of errors one stands for many."""
NEVER_NS = sys.maxsize
NOTHING: Any = object()
"""In a result's place where there is none, as at the end of a generator: no predicate is asked about it."""
_REAL = World()
_NOWHERE: deque[Any] = deque(maxlen=0)
_UNJUDGED = frozenset({Outcome.CANCELLED, Outcome.REJECTED})
"""Outcomes that say nothing about the plugin."""


class Rollback(Protocol):
    """The way back to an earlier version (shim/rollback.py)."""

    operation: Operation


class Form(Protocol):
    """One wrapped form of it (shim/form.py): what was said of this one, and whose fallback may stand in."""

    @property
    def declaration(self) -> Declaration: ...
    @property
    def keepers(self) -> tuple[LastGood, ...]: ...
    def enter(self, occasion: str) -> bool: ...
    def leave(self) -> None: ...


class Operation:
    """Made once at wrap time; its `rules` are exchanged whole whenever directives change.

    The attributes without a leading underscore are read by the wrappers on every call.
    """

    __slots__ = (
        "__weakref__",
        "answers",
        "append",
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
        append: Callable[[Invocation], None] = _NOWHERE.append,
        gap: Callable[[], int] = lambda: sys.maxsize,
        attend: Callable[[], None] = lambda: None,
        world: World = _REAL,
    ) -> None:
        self.scope = scope
        """Plugin, version, operation and instance."""
        self.append = append
        """Takes a finished invocation: a deque's own method, so it neither raises nor blocks."""
        self.tally: deque[int] = deque()
        """Durations (ns) of plain successes that wait for the fold."""
        self.count: Callable[[int], None] = self.tally.append
        """Takes the duration of a plain success of which no span will be made."""
        self.choose: Callable[[Invocation], None] = _NOWHERE.append
        """Takes a plain success whose span is kept as one of the share that is."""
        self.gap = gap
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

    def decide(self, invocation: Invocation) -> Refusal | None:
        """Whether a call may run now; takes a probe of a half-open breaker and a token of the rate limit."""
        for rule in self.rules:
            if rule.tenant is not None and rule.tenant != invocation.tenant:
                continue
            if rule.share_ratio < 1.0 and (rule.share_ratio == 0.0 or self.chance() >= rule.share_ratio):
                return Refusal(rule.reason, rule.explanation, rule.directive_id, version_alone=rule.version_alone)
            invocation.admitted_by = rule.directive_id
            break  # the most specific rule decides
        now_ns = self.clock()
        if 0 < invocation.deadline_ns <= now_ns:
            return Refusal(RejectionReason.DEADLINE_EXCEEDED, "the deadline of a call further up has passed")
        now = now_ns / 1e9
        if self.cpu_quota is not None and (wait := self.cpu_quota.exceeded(now)):
            share = f"{self.cpu_quota.share:g} CPU seconds a second are used up"
            return Refusal(RejectionReason.QUOTA_EXCEEDED, share, None, wait)
        breaker = self.breaker
        if breaker is not None and breaker.refusing:
            admitted = breaker.admit(now)
            if admitted is None:
                wait_seconds = breaker.retry_after_seconds(now)
                why = f"the breaker is {breaker.state.word}"
                return Refusal(RejectionReason.CIRCUIT_OPEN, why, None, wait_seconds)
            if admitted:
                invocation.probe = admitted
        if self.rate is not None and (wait := self.rate.take(now)):
            self.give_back(invocation)
            allowed = f"more than {self.rate.policy.calls_per_second:g} calls a second"
            return Refusal(RejectionReason.RATE_LIMITED, allowed, None, wait)
        return None

    def squeeze_in(self, invocation: Invocation) -> Refusal | None:
        """There are more calls than places: wait for one, as far as the bulkhead's queue allows."""
        bulkhead = self.bulkhead
        if bulkhead is None:
            return None
        began = self.clock()
        try:
            admitted = bulkhead.enter(invocation, self._patience_seconds(invocation, began))
        except BaseException as error:
            self._cut_short(invocation, error, began)
            raise
        return self._squeezed(invocation, admitted, began, bulkhead.policy)

    async def squeeze_in_async(self, invocation: Invocation) -> Refusal | None:
        """The same without blocking the loop."""
        bulkhead = self.bulkhead
        if bulkhead is None:
            return None
        began = self.clock()
        try:
            admitted = await bulkhead.enter_async(invocation, self._patience_seconds(invocation, began))
        except BaseException as error:
            self._cut_short(invocation, error, began)
            raise
        return self._squeezed(invocation, admitted, began, bulkhead.policy)

    def _cut_short(self, invocation: Invocation, error: BaseException, began: int) -> None:
        """Record a wait for a place that its caller ended. An `Exception` is a fault of ours, and the call goes on."""
        if is_a(error, Exception):
            return
        invocation.started_ns, invocation.duration_ns = began, self.clock() - began
        invocation.enforced = True
        invocation.outcome, invocation.source = Outcome.CANCELLED, ErrorSource.CALLER
        self.failed(invocation, error, self.clock())
        invocation.probe = 0  # it is given back

    def _squeezed(self, invocation: Invocation, admitted: bool, began: int, policy: BulkheadPolicy) -> Refusal | None:
        if admitted:
            invocation.queued_ns = self.clock() - began
            return None
        self.give_back(invocation)
        why = f"{policy.concurrent} calls run and {len(self.waiting)} wait"
        return Refusal(RejectionReason.BULKHEAD_FULL, why)

    def _patience_seconds(self, invocation: Invocation, now_ns: int) -> float:
        deadlines = [at for at in (invocation.deadline_ns, now_ns + self.timeout_ns if self.timeout_ns else 0) if at]
        return max(0.0, (min(deadlines) - now_ns) / 1e9) if deadlines else float("inf")

    def within_itself(self, invocation: Invocation) -> bool:
        """A call inside a call of the same operation would wait for itself, so it takes no place."""
        if self.bulkhead is None:
            return False
        above = invocation.parent
        while type(above) is Invocation:
            if above.operation is self and above in self.running:  # what has ended holds no place that would do for two
                return True
            above = above.parent
        return False

    def look_at(self, invocation: Invocation, args: tuple[Any, ...], kwargs: dict[str, Any], form: Form) -> None:
        """Keep what the host asked to keep of the arguments of this form."""
        capture = form.declaration.capture
        if capture is not None:
            try:
                invocation.set_attributes(capture(*args, **kwargs))
            except Exception:  # noqa: BLE001 - the host's own function must not change what the caller gets
                self.faults += 1

    def give_back(self, invocation: Invocation) -> None:
        """The call does not run after all, or says nothing: another may be the probe."""
        if invocation.probe and self.breaker is not None:
            self.breaker.give_back(invocation.probe)

    def refuse(self, invocation: Invocation, refusal: Refusal, *, answered: bool) -> bool:
        """Record a call that did not run; False where that failed. `answered`: whether something answers in its place."""
        try:
            invocation.started_ns = self.clock()
            invocation.duration_ns = 0
            invocation.outcome = Outcome.REJECTED
            invocation.rejection = invocation.error_type = refusal.reason.value
            if refusal.reason is RejectionReason.CIRCUIT_OPEN:
                invocation.source = self.failing_source  # it is refused for what made the calls before it fail
            invocation.admitted_by = refusal.directive_id
            invocation.fallback = answered
            self.append(invocation)
            self.attend()
        except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
            self.faults += 1
            return False
        return True

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

    def record(self, invocation: Invocation, *, alone: bool) -> None:
        """Record a plain success, as `function.py` does on its own. `alone`: nobody holds it, so nobody will ask for its ids."""
        tick, took = self.calls - 1, invocation.duration_ns
        if self.keep_at < 0 or invocation.ids is not None or invocation.more is not None:
            self.append(invocation)
        elif invocation.parent is not None:
            self.count(took) if invocation.let_go else self.append(invocation)
        elif not alone:
            self.append(invocation)
        elif tick >= self.keep_at:
            self.keep(invocation, tick)
        elif took > self.slowest_ns:
            self.slowest_ns = took
            self.append(invocation)
        else:
            self.count(took)

    def succeeded(self, invocation: Invocation, ended_ns: int) -> None:
        """Record a call that returned with nothing to look at, and of which a span may be made."""
        breaker = self.breaker
        if breaker is not None:
            if ended_ns >= breaker.slot_ends_ns:
                breaker.turn(ended_ns)
            breaker.calls += 1
        self.append(invocation)

    def settle(
        self,
        invocation: Invocation,
        result: Any,
        ended_ns: int,
        cpu_started_ns: int,
        form: Form,
        *,
        keep: bool = True,
    ) -> QuotaExceeded | None:
        """Record a call of `form` that returned, `NOTHING` where it is over without a result. Return the error to raise where its
        result is larger than allowed. `keep`: whether a good result may be answered again."""
        overrun = None
        if cpu_started_ns >= 0 and invocation.cpu_ns < 0:
            invocation.cpu_ns = thread_time_ns() - cpu_started_ns
        if self.cpu_quota is not None and invocation.cpu_ns > 0:
            self.cpu_quota.spend(invocation.cpu_ns / 1e9, ended_ns / 1e9)
        try:
            overrun = self._judge(invocation, result, form, keep)
        except Exception:  # noqa: BLE001 - whatever its result is made of, the call is counted
            self.faults += 1
        self._tell_breaker(invocation, result, ended_ns)
        self.append(invocation)
        return overrun

    def _judge(self, invocation: Invocation, result: Any, form: Form, keep: bool) -> QuotaExceeded | None:
        """Whether a result is as good as it looks."""
        failed_result, overrun = form.declaration.failed_result, None
        quota = self.declaration.quota
        if quota is not None and quota.output_bytes is not None and _size(result) > quota.output_bytes:
            overrun = QuotaExceeded(self.scope, "output_bytes", f"{_size(result)} of {quota.output_bytes} bytes")
            invocation.outcome, invocation.source = Outcome.ERROR, ErrorSource.QUOTA
            invocation.error_type = "output_bytes"
        elif failed_result is not None and (source := self._source_of(failed_result, result)):
            invocation.outcome, invocation.source = Outcome.ERROR, source
            invocation.error_type = "failed_result"
        elif self.timeout_ns and invocation.duration_ns > self.timeout_ns:
            # It could not be stopped, and its result still goes to the caller; but the deadline it declared is broken.
            invocation.outcome, invocation.source = Outcome.TIMEOUT, ErrorSource.PLUGIN
            invocation.error_type = "timeout"
        elif keep:
            for keeper in form.keepers:
                keeper.keep(result)
        return overrun

    def failed(
        self,
        invocation: Invocation,
        error: BaseException,
        ended_ns: int,
        cpu_started_ns: int = -1,
        form: Form | None = None,
        *,
        final: bool = False,
    ) -> bool:
        """Record a call of `form` that raised, None: of none; True when its fallback answers, whose place is then taken. `final`:
        nothing could stand in."""
        answered = False
        try:
            if cpu_started_ns >= 0 and invocation.cpu_ns < 0:
                invocation.cpu_ns = thread_time_ns() - cpu_started_ns
            if self.cpu_quota is not None and invocation.cpu_ns > 0:
                self.cpu_quota.spend(invocation.cpu_ns / 1e9, ended_ns / 1e9)
            interrupt = None
            try:
                self._explain(invocation, error, self.declaration if form is None else form.declaration)
            except BaseException as other:  # noqa: BLE001 - raised again below: it may be a real Ctrl-C
                interrupt = None if is_a(other, Exception) else other
                self.faults += 1
                if invocation.outcome is Outcome.SUCCESS:
                    invocation.outcome, invocation.source = Outcome.ERROR, ErrorSource.PLUGIN
                    invocation.error_type = type_name(type(error))
            timed_out, rejected = invocation.outcome is Outcome.TIMEOUT, invocation.rejection is not None
            if invocation.child_errors is not None:
                invocation.child_errors = None  # they would keep their frames alive
            occasion = TIMED_OUT if timed_out else REFUSED if rejected else FAILED
            # What is the caller's own, a 404 or the end of an iteration, is the answer: nothing may stand in its place.
            answerable = not final and interrupt is None and is_a(error, Exception)
            answerable = answerable and (timed_out or invocation.source is not ErrorSource.CALLER)
            invocation.fallback = answered = answerable and form is not None and form.enter(occasion)
            self._tell_breaker(invocation, error, ended_ns)
            self.append(invocation)
            if interrupt is not None:
                raise interrupt
            self.attend()
        except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
            self.faults += 1
            if answered and form is not None:
                form.leave()
            return False
        return answered

    def _explain(self, invocation: Invocation, error: BaseException, declaration: Declaration) -> None:
        """What it was, and who is to blame. Looks into an exception of the plugin's making, which may do anything."""
        if invocation.rejection is not None:
            return  # the plugin did not run
        if type(error) in REFUSALS:
            error.ended_a_call = True  # type: ignore[attr-defined]
        tell_parent(invocation, error)
        self.details_left -= 1
        invocation.failure = failure = Failure(error, detailed=self.details_left >= 0)
        if invocation.enforced:
            invocation.error_type = invocation.error_type or failure.type_name
            return
        timed_out = invocation.outcome is Outcome.TIMEOUT
        outcome, invocation.source = blame(declaration, invocation, error)
        if timed_out and outcome is Outcome.CANCELLED and _used_most(invocation):
            invocation.source = ErrorSource.PLUGIN
        invocation.outcome = Outcome.TIMEOUT if timed_out else outcome
        timed_out = invocation.outcome is Outcome.TIMEOUT
        invocation.error_type = "timeout" if timed_out else failure.type_name

    def detach(self, detach: Callable[[Any], None], token: Any) -> None:
        """Leave the invocation's context, also where the call is torn down in another one (a coroutine that is closed)."""
        try:
            detach(token)
        except ValueError:
            pass  # that context ends with the call: there is nothing to restore in this one
        except Exception:  # noqa: BLE001 - an error of ours must not replace the plugin's
            self.faults += 1

    def _source_of(self, failed_result: Callable[[Any], bool | ErrorSource], result: Any) -> ErrorSource | None:
        """Whose failure a returned value is; None: it is none."""
        if result is NOTHING:
            return None
        try:
            said = failed_result(result)
            return said if type(said) is ErrorSource else ErrorSource.PLUGIN if said else None
        except Exception:  # noqa: BLE001 - a predicate of the host's must not change what the caller gets
            self.faults += 1
            return None

    def _says(self, predicate: Callable[[Any], bool], outcome: Any) -> bool:
        if outcome is NOTHING:
            return False
        try:
            return bool(predicate(outcome))
        except Exception:  # noqa: BLE001 - a predicate of the host's must not change what the caller gets
            self.faults += 1
            return False

    def _tell_breaker(self, invocation: Invocation, outcome: Any, ended_ns: int) -> None:
        breaker = self.breaker
        if breaker is None:
            return
        policy = breaker.policy
        unjudged = invocation.outcome in _UNJUDGED or invocation.source is ErrorSource.CALLER
        if unjudged or (policy.ignore is not None and self._says(policy.ignore, outcome)):
            self.give_back(invocation)
            return
        failed = invocation.outcome is not Outcome.SUCCESS
        if policy.record is not None and invocation.outcome is not Outcome.TIMEOUT:
            failed = self._says(policy.record, outcome)
        slow = invocation.duration_ns > self.slow_ns
        if failed:
            self.failing_source = invocation.source
        breaker.record(failed, ended_ns / 1e9, invocation.probe, slow=slow)

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child, where nothing runs, nothing was counted, and no lock is held."""
        self.running.clear()
        self.tally.clear()
        self.calls = self.code = 0  # the first call is looked at, as in any process
        self.keep_at = self.gap() if self.keep_at >= 0 else -1
        self.slowest_ns = 0
        self.peak_running = self.longest_ns = self.told_ns = 0
        self.details_left = DETAILED_FAILURES
        self.cell = None  # it belongs to the parent's aggregator
        self.told = ()
        for part in (self.breaker, self.bulkhead, self.rate, self.cpu_quota, *self.fallbacks):
            if part is not None:
                part.renew_lock()


def tell_parent(invocation: Invocation, error: BaseException) -> None:
    """Let the enclosing invocation know whose exception reaches it, so that it is not blamed for a nested plugin."""
    parent = current_invocation()
    if parent is not None and parent is not invocation:
        parent.note_child_error(error)


def _used_most(invocation: Invocation) -> bool:
    """Whether a call that was cut short by its caller's deadline is what the caller's time went into."""
    above = invocation.parent
    if type(above) is not Invocation:
        return False
    return 2 * invocation.duration_ns > invocation.started_ns + invocation.duration_ns - above.started_ns


def _size(result: Any) -> int:
    """Bytes, or characters of a text, as they are stored: what a class of the plugin's says of its length is not asked."""
    kind = type(result)
    if kind is memoryview:
        try:
            return int(result.nbytes)
        except ValueError:
            return 0  # it was released
    for known in (bytes, bytearray, str):
        if issubclass(kind, known):
            return known.__len__(result)
    return 0
