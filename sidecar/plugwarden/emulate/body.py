"""What is called in the plugin's place: it takes its time, goes wrong as told, and is stopped as its runner would stop it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.errors import QuotaExceeded, WorkerDied
from plugwarden.invocation import Invocation, current_invocation
from plugwarden.shim import kind_of

from .faults import Fault

__all__ = ["Body", "Habits", "Host"]

WORKER_START_SECONDS = 0.06
"""Seconds that a worker process takes to start, without the plugin's own import: docs/how-to/runners.md."""
_SPREAD = 0.25
"""Sigma of the lognormal times of a plugin in good health: its p95 is 1.5 times its median."""
FOREVER_SECONDS = 10 * 365 * 86_400.0


class Host:
    """The process that the plugin runs in; a fault can end it."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.ended_by: str | None = None

    async def end(self, operation: str) -> None:
        """The process is gone: nothing comes back."""
        self.ended_by = operation
        self.ended.set()
        await asyncio.sleep(FOREVER_SECONDS)


@dataclass(frozen=True, slots=True)
class Habits:
    """How an operation is when nothing is wrong."""

    runner: str = "inline"
    is_coroutine: bool = False
    """Under `inline`: whether it is cancelled at its deadline."""
    workers: int = 1
    memory_bytes: int | None = None
    """The quota of a worker."""
    latency_seconds: float = 0.05
    """The median."""
    function: Callable[[], Any] | None = None
    """The plugin's own; none: it waits as long as it would take."""


class Body:
    """One operation."""

    def __init__(
        self,
        operation: str,
        habits: Habits,
        faults: Sequence[Fault],
        random: Random,
        elapsed: Callable[[], float],
        host: Host,
    ) -> None:
        self._operation, self._habits, self._faults = operation, habits, faults
        self._random, self._elapsed, self._host = random, elapsed, host
        self._workers: asyncio.Queue[float] = asyncio.Queue()
        for _ in range(habits.workers):
            self._workers.put_nowait(-1.0)  # not started
        self.late_worker_waits = 0
        """Calls that had a worker ready for them after half of their deadline, or never."""

    async def call(self) -> Any:
        """What is wrapped."""
        on = [fault for fault in self._faults if fault.is_on(self._operation, self._elapsed())]
        on = [
            fault
            for fault in on
            if self._random.random() < (fault.amount if fault.kind == "errors" else fault.share_ratio)
        ]
        seconds = self._seconds(on)
        invocation = current_invocation()
        match self._habits.runner:
            case "process":
                return await self._in_a_worker(on, seconds, invocation)
            case "thread":
                return await self._in_a_thread(on, seconds, invocation)
            case _ if self._habits.is_coroutine:
                return await self._work(on, seconds)
            case _:
                return await _unstoppable(asyncio.ensure_future(self._work(on, seconds)))

    def _seconds(self, on: Sequence[Fault]) -> float:
        seconds = self._habits.latency_seconds * self._random.lognormvariate(0.0, _SPREAD)
        for fault in on:
            if fault.kind == "latency":
                seconds = {"+": seconds + fault.amount, "=": fault.amount, "x": seconds * fault.amount}[fault.how]
        return FOREVER_SECONDS if any(fault.kind == "hang" for fault in on) else seconds

    async def _work(self, on: Sequence[Fault], seconds: float) -> Any:
        kinds = {fault.kind: fault for fault in on}
        if "exit" in kinds and self._habits.runner != "process":
            await asyncio.sleep(seconds / 2)
            await self._host.end(self._operation)
        answer: Any = b""
        function = self._habits.function
        if function is None:
            await asyncio.sleep(seconds)
        else:
            answer = await (function() if kind_of(function) == "coroutine" else _in_a_real_thread(function))
            if kinds.keys() & {"latency", "hang"}:
                await asyncio.sleep(seconds)
        if "errors" in kinds:
            raise kinds["errors"].error("injected")
        return bytes(int(kinds["output"].amount)) if "output" in kinds else answer

    async def _in_a_worker(self, on: Sequence[Fault], seconds: float, invocation: Invocation | None) -> Any:
        asked = self._elapsed()
        try:
            ready = await self._workers.get()
        except asyncio.CancelledError:
            self._worker_came_late(invocation)
            raise
        now = self._elapsed()
        ready = now + WORKER_START_SECONDS if ready < 0 else ready
        again = ready
        try:
            try:
                await asyncio.sleep(max(0.0, ready - now))
            except asyncio.CancelledError:
                self._worker_came_late(invocation)
                raise
            if invocation is not None and invocation.deadline_ns:
                patience = (invocation.deadline_ns - invocation.started_ns) / 2e9
                self.late_worker_waits += self._elapsed() - asked > patience
            for fault in on:
                if fault.kind == "exit":
                    await asyncio.sleep(seconds / 2)
                    again = self._elapsed() + WORKER_START_SECONDS
                    raise WorkerDied(_scope(invocation), "its worker ended under the call: it exited with 1")
                limit = self._habits.memory_bytes
                if fault.kind == "memory" and limit is not None and fault.amount > limit:
                    again = self._elapsed() + WORKER_START_SECONDS
                    if invocation is not None:
                        _blame(invocation, ErrorSource.QUOTA, "memory_bytes")
                    raise QuotaExceeded(
                        _scope(invocation), "memory_bytes", f"its worker needed more than {limit} bytes"
                    )
            return await self._work(on, seconds)
        except asyncio.CancelledError:  # killed at the deadline
            again = self._elapsed() + WORKER_START_SECONDS
            raise
        finally:
            self._workers.put_nowait(again)

    def _worker_came_late(self, invocation: Invocation | None) -> None:
        self.late_worker_waits += 1
        if invocation is not None:
            _blame(invocation, ErrorSource.HOST, "timeout")

    async def _in_a_thread(self, on: Sequence[Fault], seconds: float, invocation: Invocation | None) -> Any:
        work = asyncio.ensure_future(self._work(on, seconds))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # As the thread runner does: the caller is let go, and the thread keeps its place until it ends by itself.
            if invocation is not None and not work.done():
                operation = invocation.operation
                invocation.abandoned = True
                operation.running.add(work)

                def give_place_back(done: asyncio.Future[Any]) -> None:
                    operation.release(done)
                    if not done.cancelled():
                        done.exception()  # nobody waits for it any more

                work.add_done_callback(give_place_back)
            raise


async def _unstoppable(work: asyncio.Future[Any]) -> Any:
    """A plain function runs to its end, whatever becomes of its caller."""
    while True:
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if work.done():
                raise


async def _in_a_real_thread(function: Callable[[], Any]) -> Any:
    """One thread for each call, as a host has for its callers; one that never ends keeps nobody from ending the program."""
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def settle(error: BaseException | None, result: Any) -> None:
        if not done.done():
            done.set_result(result) if error is None else done.set_exception(error)

    def run() -> None:
        error, result = None, None
        try:
            result = function()
        except Exception as raised:  # noqa: BLE001 - it is the caller's to see, whatever it is
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error, result)

    threading.Thread(target=run, daemon=True).start()
    return await done


def _blame(invocation: Invocation, source: ErrorSource, error_type: str) -> None:
    invocation.outcome = Outcome.ERROR  # a deadline says otherwise later
    invocation.enforced, invocation.source, invocation.error_type = True, source, error_type


def _scope(invocation: Invocation | None) -> Any:
    return None if invocation is None else invocation.operation.scope
