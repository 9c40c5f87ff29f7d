"""Runs calls in worker processes, which can be killed: at the deadline, at a memory limit, for certain.

A worker serves one call at a time. When it ends, whatever the reason, the next one is started at once, so that it is
warm by the time it is needed. The host trusts nothing that a worker sends (see `child/wire.py`).
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import pickle
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter_ns
from typing import Any, NoReturn

from plugwarden.contract import ErrorSource, Outcome, metrics
from plugwarden.errors import ConfigurationError, QuotaExceeded, ResultRefused, WorkerDied
from plugwarden.invocation import Invocation, current_invocation, traceparent
from plugwarden.loops import Signal, signal_here
from plugwarden.operation import Operation
from plugwarden.runners.child.wire import DecodingLate, UnsafeResult, loads_untrusted, memory_for
from plugwarden.runners.ends import no_room, timed_out
from plugwarden.runners.raised import Raised, raisable
from plugwarden.runners.target import Target
from plugwarden.runners.worker import Answer, DeadlinePassed, MemoryExceeded, NotStarted, Worker, seconds_until

__all__ = ["ProcessRunner"]

_OUT_OF_MEMORY = 77
"""The exit code by which a worker says so."""


_CLOSED = "the sidecar is closed, and its workers with it"
_NO_TRACE = f"00-{0:032x}-{0:016x}-00"
_renewing = threading.Lock()
os.register_at_fork(after_in_child=_renewing._at_fork_reinit)  # type: ignore[attr-defined]  # as the standard library does


class ProcessRunner:
    """The workers of one operation."""

    def __init__(self, operation: Operation, count: Callable[[str, float, str], None]) -> None:
        """`count` takes (metric, value, why) of what ended."""
        self._operation = operation
        self._count = count
        carriers = [one for one in operation.declaration.returns if one.how[0] != "raise"]
        self._makers = [one.make for one in carriers]
        self._carried = [(one.kind.__module__, one.kind.__qualname__, _by_address(one.how)) for one in carriers]
        self._raisable = raisable(operation.declaration)
        self._renew()

    def _renew_after_fork(self) -> None:
        """Begin anew in a forked child: the workers, their sockets and the threads are the parent's."""
        if self._pid != os.getpid():
            with _renewing:
                if self._pid != os.getpid():
                    self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.Semaphore(self._operation.declaration.workers)
        self._idle: deque[Worker] = deque()
        self._workers: set[Worker] = set()
        self._peak_bytes = 0
        self._closed = False
        self._scratch: Path | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._pid = os.getpid()

    def __del__(self) -> None:
        # Wrapped anew, as a reload does, and nobody holds the old form any more: its workers go with it.
        with contextlib.suppress(Exception):
            self.close()

    def bind(self, function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        """`function`, run in a worker. Raises `ConfigurationError` when a worker could not find it, or could not be held to what
        its touches demand."""
        self._target = target = Target.of(function)
        if target.main is None:
            target.check(function)
        if self._operation.declaration.touches.require_enforced:
            self.try_demands()

        def run(*args: Any, **kwargs: Any) -> Any:
            self._renew_after_fork()
            return self._call(args, kwargs, current_invocation())

        async def run_async(*args: Any, **kwargs: Any) -> Any:
            self._renew_after_fork()
            invocation = current_invocation()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(
                    self._operation.declaration.workers + 1, thread_name_prefix="plugwarden-worker-call"
                )
            stop = threading.Event()
            call = functools.partial(self._call, args, kwargs, invocation, stop)
            done = signal_here()
            try:
                future = self._threads.submit(call)
            except (RuntimeError, MemoryError) as error:
                if self._closed:
                    raise WorkerDied(self._operation.scope, _CLOSED) from error
                raise no_room(self._operation, invocation, f"no thread is to be had: {error}") from error
            if done is None:
                return future.result()  # a loop of neither kind cannot be told when it is done
            future.add_done_callback(functools.partial(_tell, done))
            try:
                while not future.done():
                    await done.wait(math.inf)
            except BaseException:  # cancelled, by asyncio or trio
                stop.set()
                if not future.done():
                    await done.wait_undisturbed(1.0)  # the worker is being killed
                raise
            return future.result()

        return run_async if kind == "coroutine" else run

    def try_demands(self) -> None:
        """Have a worker without a plugin give up what it must. Raises `ConfigurationError` saying what cannot be enforced."""
        with tempfile.TemporaryDirectory(prefix="plugwarden-") as scratch:
            worker = Worker(self._operation, Target("", "", None), Path(scratch), ())
            try:
                worker.await_ready()
            except NotStarted as error:
                raise ConfigurationError(str(error)) from None
            except (EOFError, OSError, DeadlinePassed, UnsafeResult) as error:
                raise ConfigurationError(f"touches.require_enforced: no worker could be tried: {error!r}") from error
            finally:
                worker.kill()

    def stats(self) -> dict[str, float]:
        """Gauges: metric -> value."""
        workers = [worker for worker in tuple(self._workers) if worker.alive]
        return {
            metrics.WORKERS.name: len(workers),
            metrics.MEMORY_USAGE.name: sum(worker.resident_bytes() for worker in workers),
            metrics.MEMORY_PEAK.name: self._peak_bytes,
            metrics.WORKER_CHILDREN.name: sum(worker.children for worker in workers),
        }

    def close(self) -> None:
        """Kill all workers and remove what they wrote for themselves."""
        if self._pid != os.getpid():
            return  # after a fork they are the parent's
        with self._lock:
            self._closed = True
            workers, self._workers = self._workers, set()
        for worker in workers:
            worker.kill()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    # -- one call -----------------------------------------------------------------------------------------------------

    def _call(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        invocation: Invocation | None,
        stop: threading.Event | None = None,
    ) -> Any:
        if self._closed:
            raise WorkerDied(self._operation.scope, _CLOSED)
        deadline_ns = self._deadline_of(invocation)
        if not self._places.acquire(timeout=seconds_until(deadline_ns)):
            self._blame(invocation, ErrorSource.HOST, "timeout")
            raise timed_out(self._operation, invocation or Invocation(), "no worker was free before the deadline")
        try:
            seconds = seconds_until(deadline_ns)
            parent = _NO_TRACE if invocation is None else traceparent(invocation)
            request = pickle.dumps(
                (args, kwargs, seconds, parent), protocol=5
            )  # an argument that cannot be sent raises
            try:
                worker = self._take_worker()
            except OSError as error:  # no descriptor, process or folder is to be had
                why = f"its worker could not be started: {error}"
                raise no_room(self._operation, invocation, why) from error
            try:
                answer = worker.exchange(request, deadline_ns, stop, self._memory_limit())
            except BaseException as error:  # noqa: BLE001 - _lost raises, always
                self._lost(worker, error, invocation)
            self._idle.append(worker)
            return self._unpack(worker, answer, invocation)
        finally:
            self._places.release()

    def _take_worker(self) -> Worker:
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return self._start_worker()
            if worker.alive:
                return worker
            worker.kill()
            self._forget(worker, "died")

    def _start_worker(self) -> Worker:
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="plugwarden-"))
        worker = Worker(self._operation, self._target, self._scratch, self._carried)
        with self._lock:
            self._workers.add(worker)
            if self._closed:
                worker.kill()
        return worker

    def _forget(self, worker: Worker, why: str) -> None:
        with self._lock:
            self._workers.discard(worker)
        self._count(metrics.WORKER_ENDS.name, 1, why)

    def _lost(self, worker: Worker, error: BaseException, invocation: Invocation | None) -> NoReturn:
        """The worker cannot be used any more: end it, start the next, and say what happened."""
        scope = self._operation.scope
        code = worker.kill()
        self._peak_bytes = max(self._peak_bytes, worker.peak_bytes)
        if isinstance(error, DeadlinePassed):
            self._forget(worker, "deadline")
        elif isinstance(error, MemoryExceeded) or code == _OUT_OF_MEMORY:
            self._forget(worker, "memory")
        else:
            self._forget(worker, "died")
        if not self._closed:
            with contextlib.suppress(OSError):
                self._idle.append(self._start_worker())
        if isinstance(error, DeadlinePassed):
            if not worker.ready:
                self._blame(invocation, ErrorSource.HOST, "timeout")
            raise timed_out(
                self._operation, invocation or Invocation(), "its worker was killed at the deadline"
            ) from None
        if isinstance(error, MemoryExceeded) or code == _OUT_OF_MEMORY:
            self._blame(invocation, ErrorSource.QUOTA, "memory_bytes")
            limit = self._memory_limit()
            raise QuotaExceeded(scope, "memory_bytes", f"its worker needed more than {limit} bytes") from None
        if isinstance(error, EOFError | ConnectionError | UnsafeResult):
            ended = (
                f"it {_how_it_ended(code)}"
                if not isinstance(error, UnsafeResult)
                else f"what it sent is refused: {error}"
            )
            raise WorkerDied(scope, f"its worker ended under the call: {ended}") from None
        if isinstance(error, NotStarted):
            raise WorkerDied(scope, f"its worker could not be started: {error}") from None
        raise error

    def _unpack(self, worker: Worker, answer: Answer, invocation: Invocation | None) -> Any:
        self._peak_bytes = max(self._peak_bytes, worker.peak_bytes)
        if invocation is not None:
            invocation.cpu_ns = int(answer.cpu_seconds * 1e9)
        scope = self._operation.scope
        if isinstance(answer.detail, Raised):
            raise answer.detail.rebuilt(scope, self._raisable)
        if answer.kind == "too_large":
            self._blame(invocation, ErrorSource.QUOTA, "output_bytes")
            raise QuotaExceeded(scope, "output_bytes", f"its result needs more than {worker.output_bytes} bytes")
        refused = answer.detail
        if answer.kind == "result":
            deadline_ns = self._deadline_of(invocation)
            try:
                memory = memory_for(worker.output_bytes)
                return loads_untrusted(answer.body, self._makers, memory_bytes=memory, deadline_ns=deadline_ns)
            except UnsafeResult as error:
                refused = str(error)
            except DecodingLate:
                why = "its result was still being read at the deadline"
                raise timed_out(self._operation, invocation or Invocation(), why) from None
        raise ResultRefused(
            scope, f"its result is refused: {refused}; declare its type with returns=(…,) or answer plain data"
        )

    def _deadline_of(self, invocation: Invocation | None) -> int:
        """Return the deadline by the performance counter, which workers go by, whatever clock the gate has; 0: none."""
        if invocation is None or not invocation.deadline_ns:
            return 0
        return perf_counter_ns() + invocation.deadline_ns - self._operation.clock()

    def _memory_limit(self) -> int:
        quota = self._operation.declaration.quota
        return (quota.memory_bytes or 0) if quota is not None else 0

    def _blame(self, invocation: Invocation | None, source: ErrorSource, error_type: str) -> None:
        if invocation is not None:
            invocation.outcome = Outcome.ERROR  # a deadline says otherwise later
            invocation.enforced, invocation.source, invocation.error_type = True, source, error_type


def _by_address(how: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return codecs with the function of each as the address under which a worker finds it."""
    if how[0] != "call":
        return how
    target = Target.of(how[1])
    if target.main is None:
        target.check(how[1])
    return ("call", target.module, target.qualname, target.main)


def _tell(done: Signal, future: Future[Any]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop of whoever waited has ended
        done.give()


def _how_it_ended(code: int) -> str:
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(code - 128).name}"
    return f"exited with {code}"
