"""Runs calls in threads, so that the caller can be let go at the deadline.

Nothing can stop a thread. One that is past its deadline is abandoned: its call keeps its place in the bulkhead until it
ends by itself, which is what bounds how many there can be, and it is counted and shown as abandoned.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable
from time import thread_time_ns
from typing import Any

from plugwarden.contract import ErrorSource
from plugwarden.inspection import traceback_of
from plugwarden.invocation import Invocation, current_invocation
from plugwarden.operation import Operation
from plugwarden.runners.ends import no_room, timed_out

__all__ = ["ThreadRunner"]

IDLE_SECONDS = 30.0
"""A thread without work ends after this long."""
_RUNNING, _DONE, _ABANDONED = range(3)


class _Job:
    """One call on its way through a thread."""

    __slots__ = ("args", "context", "done", "error", "function", "invocation", "kwargs", "lock", "result", "state")

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], invocation: Invocation | None
    ) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.invocation = invocation
        self.context = contextvars.copy_context()
        self.lock = threading.Lock()
        self.state = _RUNNING
        self.done = threading.Lock()
        self.done.acquire()
        self.result: Any = None
        self.error: BaseException | None = None


class ThreadRunner:
    """Threads for one operation, as many as its bulkhead has places."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._idle: deque[_Worker] = deque()
        self._pid = os.getpid()

    def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, run in a thread; the caller waits until its deadline."""

        def run(*args: Any, **kwargs: Any) -> Any:
            if self._pid != os.getpid():  # a forked child has none of the parent's threads
                self._idle = deque()
                self._pid = os.getpid()
            invocation = current_invocation()
            job = _Job(function, args, kwargs, invocation)
            self._hand_over(job)
            deadline_ns = 0 if invocation is None else invocation.deadline_ns
            try:
                if not deadline_ns:
                    job.done.acquire()
                elif not self._done_by(job, deadline_ns) and self._abandon(job) and invocation is not None:
                    if invocation.waits_for is not None:
                        invocation.enforced, invocation.source = True, ErrorSource.DOWNSTREAM
                        invocation.error_type = "timeout"
                    raise timed_out(self._operation, invocation, "past its deadline; its thread cannot be stopped")
            except BaseException:  # also an interrupt of the caller while it waited
                self._abandon(job)
                raise
            error, result = job.error, job.result
            if error is None:
                return result
            try:
                trace = traceback_of(error)
                raise BaseException.with_traceback(error, trace.tb_next if trace is not None else None)
            finally:
                del job, error  # the frame would keep its own exception alive

        return run

    def _done_by(self, job: _Job, deadline_ns: int) -> bool:
        return job.done.acquire(timeout=max(0.0, (deadline_ns - self._operation.clock()) / 1e9))

    def _hand_over(self, job: _Job) -> None:
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self._operation, self._idle)
        try:
            worker.take(job)
        except (RuntimeError, MemoryError) as error:  # the only ones a thread that cannot be started is told by
            raise no_room(self._operation, job.invocation, f"no thread is to be had: {error}") from error

    def _abandon(self, job: _Job) -> bool:
        """Give up on a job; False when it was done in the last moment."""
        with job.lock:
            if job.state == _DONE:
                return False
            job.state = _ABANDONED
            self._operation.running.add(job)  # its place is taken until its thread ends
            if job.invocation is not None:
                job.invocation.abandoned = True
            return True


class _Worker:
    """A thread that takes one job after the other."""

    def __init__(self, operation: Operation, idle: deque[_Worker]) -> None:
        self._operation = operation
        self._idle = idle
        self._job: _Job | None = None
        self._work = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def take(self, job: _Job) -> None:
        """Do this next."""
        self._job = job
        if self._thread is None:
            scope = self._operation.scope
            name = f"plugwarden-{scope.plugin}-{scope.operation}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()
        self._work.release()

    def _run(self) -> None:
        while True:
            if not self._work.acquire(timeout=IDLE_SECONDS):
                try:
                    self._idle.remove(self)
                    return
                except ValueError:
                    self._work.acquire()  # it was picked just now; the job is on its way
            job, self._job = self._job, None
            assert job is not None  # noqa: S101 - take() puts it there before it releases
            self._do(job)
            del job
            self._idle.append(self)

    def _do(self, job: _Job) -> None:
        started = thread_time_ns()
        try:
            job.result = job.context.run(job.function, *job.args, **job.kwargs)
        except BaseException as error:  # noqa: BLE001 - it is the caller's to see, whatever it is
            job.error = error
        spent = thread_time_ns() - started
        with job.lock:
            abandoned = job.state == _ABANDONED
            job.state = _DONE
            if job.invocation is not None and not abandoned:
                job.invocation.cpu_ns = spent
        if abandoned:
            self._operation.release(job)
        job.done.release()
