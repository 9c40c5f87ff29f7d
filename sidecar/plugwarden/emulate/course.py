"""The calls of an emulation, second by second: the real gate of a real sidecar, and a stand-in for the plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from random import Random
from time import perf_counter_ns
from typing import Any

from plugwarden.contract import BreakerState, RejectionReason
from plugwarden.gate import BulkheadPolicy, QuotaPolicy
from plugwarden.manifest import Manifest
from plugwarden.operation import Operation
from plugwarden.shim import kind_of
from plugwarden.testing.clock import Clock
from plugwarden.testing.record import Recorded, Recorder
from plugwarden.world import World

from .body import Body, Habits, Host
from .faults import Fault
from .tally import Call, Tally
from .virtual import loop_of

__all__ = ["Course", "Row", "Terms"]

DRAIN_SECONDS = 5.0
"""After the last call has begun, those that run are waited for as long as the longest deadline, and this at least."""
_current: ContextVar[Call | None] = ContextVar("call", default=None)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of an emulation."""

    seconds: float = 60.0
    rate: float = 20.0
    """Calls a second of each operation, at random times (a Poisson stream)."""
    latency_seconds: float = 0.05
    """The median of an operation in good health, where it is not the plugin's own."""
    every_seconds: float = 1.0
    """How often a row is told."""
    seed: int = 0
    coroutines: bool = False
    """Whether operations under `inline` are coroutines, which are cancelled at their deadline."""
    functions: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    """Operation -> the plugin's own; with any, time is real."""
    real_time: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One operation in one stretch of time."""

    at_seconds: float
    """Its end."""
    operation: str
    tally: Tally
    running: int
    breaker: BreakerState | None


class Course:
    """One emulation; `run` it once."""

    def __init__(self, manifest: Manifest, faults: list[Fault], terms: Terms) -> None:
        self.manifest, self.faults, self.terms = manifest, faults, terms
        self.totals = {name: Tally() for name in manifest.operations}
        self.quiet = {name: Tally() for name in manifest.operations}
        """Of calls that began before the first fault of their operation: what follows one is not good health yet."""
        self.peak_running = dict.fromkeys(manifest.operations, 0)
        self.late_worker_waits = dict.fromkeys(manifest.operations, 0)
        self.unanswered = dict.fromkeys(manifest.operations, 0)
        """Callers that still waited when it was over."""
        self._clock: Clock | Callable[[], int] = perf_counter_ns if terms.real_time or terms.functions else Clock()
        self._began_ns = 0
        self._gates: dict[str | None, Operation] = {}
        self._stretch: dict[str, Tally] = {}
        self._waiting: dict[str, int] = {}
        self.host_ended_by: str | None = None
        self.ended_seconds = 0.0
        self.cut_short = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self.notes = [
            f"operations.{name}.quota.cpu_share: is not emulated"
            for name, declared in manifest.operations.items()
            if declared.get("quota") is not None and declared["quota"].cpu_share is not None
        ]

    def run(self, tell: Callable[[Row], None], say: Callable[[float, str], None]) -> None:
        """`tell` is given each row, `say` each change of a breaker and of the host."""
        clock = self._clock
        loop = loop_of(clock) if isinstance(clock, Clock) else asyncio.new_event_loop()
        self._loop = loop
        self._began_ns = clock()
        random = Random(f"{self.terms.seed}:gate")  # noqa: S311 - repeatable on purpose
        recorder = Recorder(World(clock, random.random), {}, keep=_keep, say=lambda text: say(self._elapsed(), text))
        running = loop.create_task(self._run(recorder, tell, say))
        try:
            loop.run_until_complete(running)
        finally:
            self.ended_seconds = self._elapsed()
            _end_all(loop)
            recorder.sidecar.close(timeout=1.0)

    def stop(self) -> None:
        """End it before its time, from a signal handler or another thread, or before it began; what was seen so far is kept."""
        self.cut_short = True
        if self._loop is None:
            self._stopping.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    def _elapsed(self) -> float:
        return (self._clock() - self._began_ns) / 1e9

    async def _run(self, recorder: Recorder, tell: Callable[[Row], None], say: Callable[[float, str], None]) -> None:
        host = Host()
        plugin = recorder.sidecar.declare(emulated(self.manifest), grants=self.manifest.asked)
        bodies = {name: self._body(name, host) for name in self.manifest.operations}
        wrapped = {name: plugin.wrap(body.call, name, previous=None) for name, body in bodies.items()}
        self._gates = {gate.scope.operation: gate for gate in recorder.sidecar.operations}
        self._stretch = {name: Tally() for name in self.totals}
        self._waiting = dict.fromkeys(self.totals, 0)
        directives = [asyncio.ensure_future(self._direct(recorder, fault)) for fault in self.faults if _is_told(fault)]
        arrivals = [asyncio.ensure_future(self._arrive(name, call)) for name, call in wrapped.items()]
        ticks = asyncio.ensure_future(self._tick(tell))
        ended = asyncio.ensure_future(host.ended.wait())
        stopped = asyncio.ensure_future(self._stopping.wait())
        whole = asyncio.ensure_future(asyncio.wait(arrivals))
        await asyncio.wait((whole, ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not host.ended.is_set() and not self.cut_short:
            longest = max((terms.get("timeout") or 0.0 for terms in self.manifest.operations.values()), default=0.0)
            await self._drain(max(DRAIN_SECONDS, 2 * longest), ended, stopped)
        for task in (*arrivals, *directives, ticks, ended, stopped, whole):
            task.cancel()
        self._row(tell)
        if host.ended.is_set():
            self.host_ended_by = host.ended_by
            say(self._elapsed(), f"the host has ended: {host.ended_by} ended its process")
        self.unanswered = dict(self._waiting)
        self.late_worker_waits = {name: body.late_worker_waits for name, body in bodies.items()}

    def _body(self, name: str, host: Host) -> Body:
        declared, function = self.manifest.operations[name], self.terms.functions.get(name)
        quota = declared.get("quota")
        habits = Habits(
            runner=declared.get("runner", "inline"),
            is_coroutine=self.terms.coroutines if function is None else kind_of(function) == "coroutine",
            workers=declared.get("workers", 1),
            memory_bytes=None if quota is None else quota.memory_bytes,
            latency_seconds=self.terms.latency_seconds,
            function=function,
        )
        random = Random(f"{self.terms.seed}:{name}:plugin")  # noqa: S311 - repeatable on purpose
        return Body(name, habits, self.faults, random, self._elapsed, host)

    async def _arrive(self, name: str, call: Callable[[], Any]) -> None:
        random = Random(f"{self.terms.seed}:{name}:callers")  # noqa: S311 - as above
        tasks: set[asyncio.Future[None]] = set()
        at = random.expovariate(self.terms.rate)
        while at < self.terms.seconds:
            await asyncio.sleep(max(0.0, at - self._elapsed()))
            task = asyncio.ensure_future(self._call(name, call))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            at += random.expovariate(self.terms.rate)
        await asyncio.sleep(max(0.0, self.terms.seconds - self._elapsed()))

    async def _call(self, name: str, call: Callable[[], Any]) -> None:
        began = self._elapsed()
        one = Call(began)
        tallies = [self.totals[name]]
        if not any(fault.operation in (None, name) and fault.from_seconds <= began for fault in self.faults):
            tallies.append(self.quiet[name])
        for tally in (*tallies, self._stretch[name]):
            tally.calls += 1
        self._waiting[name] += 1
        _current.set(one)
        try:
            answer = call()
            self.peak_running[name] = max(self.peak_running[name], len(self._gates[name].running))
            await answer
        except Exception as error:  # noqa: BLE001 - it is what the caller sees
            one.raised = self._seen(name, error)
        one.seconds = self._elapsed() - began
        self._waiting[name] -= 1
        for tally in (*tallies, self._stretch[name]):
            tally.end(one)

    def _seen(self, name: str, error: Exception) -> str:
        kind = type(error).__name__
        if kind == "TimeoutError" and self.manifest.operations[name].get("runner", "inline") != "inline":
            kind = "DeadlineExceeded"  # what the runner itself would raise
        reason = getattr(error, "reason", None)
        return f"{kind} ({reason})" if isinstance(reason, RejectionReason) else kind

    async def _direct(self, recorder: Recorder, fault: Fault) -> None:
        await asyncio.sleep(fault.from_seconds)
        share = fault.amount if fault.kind == "probation" else 0.0
        recorder.isolate(self.manifest.id, operation=fault.operation, reason=fault.text, share_ratio=share)
        if fault.ends_seconds < float("inf"):
            await asyncio.sleep(fault.for_seconds)
            recorder.release()

    async def _tick(self, tell: Callable[[Row], None]) -> None:
        number = 1
        while True:
            await asyncio.sleep(max(0.0, number * self.terms.every_seconds - self._elapsed()))
            self._row(tell, number * self.terms.every_seconds)
            number += 1

    def _row(self, tell: Callable[[Row], None], at: float | None = None) -> None:
        for name, tally in self._stretch.items():
            gate = self._gates[name]
            self.peak_running[name] = max(self.peak_running[name], len(gate.running))
            if tally.calls or tally.seconds or (at is not None and at <= self.terms.seconds):
                state = None if gate.breaker is None else gate.breaker.state
                tell(Row(self._elapsed() if at is None else at, name, tally, len(gate.running), state))
            self._stretch[name] = Tally()

    async def _drain(self, seconds: float, *ends: asyncio.Future[Any]) -> None:
        until = self._elapsed() + seconds
        while any(self._waiting.values()) and self._elapsed() < until and not any(end.done() for end in ends):
            await asyncio.sleep(0.01)


def emulated(manifest: Manifest) -> Manifest:
    """The manifest as it is emulated: everything runs in place, and what a runner does to it is the stand-in's part."""
    operations = {}
    for name, declared in manifest.operations.items():
        terms = {key: value for key, value in declared.items() if key not in ("runner", "workers")}
        if declared.get("runner") == "thread":
            terms.setdefault("bulkhead", BulkheadPolicy())  # as under that runner
        quota: QuotaPolicy | None = terms.get("quota")
        if quota is not None:
            terms["quota"] = replace(quota, memory_bytes=None, cpu_share=None)
        operations[name] = terms
    return replace(manifest, touches=None, operations=operations)


def _is_told(fault: Fault) -> bool:
    return fault.kind in ("quarantine", "probation")


def _keep(recorded: Recorded) -> None:
    call = _current.get()
    if call is not None and recorded.downstream is None:
        call.recorded = recorded


def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what still waits, and close the loop."""
    for _ in range(10):
        left = asyncio.all_tasks(loop)
        if not left:
            break
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left, timeout=0.1))
    loop.close()
