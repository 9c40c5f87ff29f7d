"""A plugin's wait for something it depends on: named, timed, and blamed for what goes wrong inside."""

from __future__ import annotations

from contextvars import Token

from opentelemetry.context import Context, attach

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.inspection import is_a
from plugwarden.invocation import Failure, Invocation, begin, context_access, current_invocation, leave_context

__all__ = ["DownstreamWait"]


class DownstreamWait:
    """Used by `with` or `async with`. Inside, the current span is the wait's, so HTTP clients' spans become children."""

    __slots__ = ("_name", "_outer", "_token", "_wait")

    def __init__(self, name: str) -> None:
        self._name = name
        self._outer: Invocation | None = None
        self._wait: Invocation | None = None
        self._token: Token[Context] | None = None

    def __enter__(self) -> DownstreamWait:
        self._outer = outer = current_invocation()
        if outer is not None:
            self._wait, context = begin(outer.operation, outer.operation.clock(), context_access()[0]())
            self._wait.downstream = self._name
            self._token = attach(context)
            outer.waits_for = self._name
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        wait, outer = self._wait, self._outer
        if wait is None or outer is None or self._token is None:
            return
        leave_context(self._token)
        if not outer.abandoned:
            outer.waits_for = None
        wait.duration_ns = wait.operation.clock() - wait.started_ns
        if wait.child_errors is not None:
            wait.child_errors = None  # they would keep their frames alive
        if error is not None:
            outer.note_child_error(error)
            wait.failure = Failure(error)
            wait.error_type = wait.failure.type_name
            cancelled = not is_a(error, Exception)
            wait.outcome = Outcome.CANCELLED if cancelled else Outcome.ERROR
            wait.source = ErrorSource.CALLER if cancelled else ErrorSource.DOWNSTREAM
        wait.operation.append(wait)

    async def __aenter__(self) -> DownstreamWait:
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)
