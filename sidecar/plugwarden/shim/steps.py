"""An invocation that is done step by step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

from opentelemetry.context import Context

from plugwarden.invocation import Invocation, context_access
from plugwarden.operation import NEVER_NS, Operation

from .codes import unseen
from .deadline import within_deadline
from .opened import close_invocation

__all__ = ["Steps"]


class Steps:
    """Runs what is done step by step in its invocation's context, and adds up the time of the steps."""

    __slots__ = ("_access", "_clock", "_context", "_invocation", "_operation", "active_ns")

    def __init__(self, operation: Operation, invocation: Invocation, context: Context, active_ns: int = 0) -> None:
        self._operation = operation
        self._clock = operation.clock
        self._invocation = invocation
        self._context = context
        self._access = context_access()
        self.active_ns = active_ns

    @unseen
    def of(self, make: Callable[[], Generator[Any, Any, Any]]) -> Generator[Any, Any, Any]:
        """A generator, step by step, to its recorded end."""
        operation = self._operation  # what a thread that looks at this frame from outside finds by name
        error = thrown = None
        try:
            inner = make()
            onward: Callable[[], Any] = functools.partial(next, inner)
            step = onward
            while True:
                token = self._enter()
                started = self._clock()
                try:
                    item = step()
                except StopIteration as stop:
                    return stop.value
                finally:
                    self._leave(token, started)
                try:
                    sent = yield item
                except GeneratorExit:
                    self.run(inner.close)
                    raise
                except BaseException as given:  # noqa: BLE001 - the consumer throws into the plugin, which decides
                    thrown = given
                    step = functools.partial(inner.throw, given)
                else:
                    thrown = None
                    step = onward if sent is None else functools.partial(inner.send, sent)
        except GeneratorExit:
            raise  # the consumer had enough; the plugin did nothing wrong
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.close(error, thrown)
            del error, thrown, operation  # the frame would keep its own exception alive

    @unseen
    def run(self, step: Callable[[], Any]) -> Any:
        """One step."""
        token = self._enter()
        started = self._clock()
        try:
            return step()
        finally:
            self._leave(token, started)

    @unseen
    async def arun(self, step: Callable[[], Any]) -> Any:
        """One step that is awaited, and cancelled when the time that all of them have is over."""
        token = self._enter()
        started = self._clock()
        try:
            if self._invocation.deadline_ns:
                return await within_deadline(self._invocation, step())
            return await step()
        finally:
            self._leave(token, started)

    def close(self, error: BaseException | None, thrown: BaseException | None = None) -> None:
        """Record the end."""
        close_invocation(self._operation, self._invocation, error, self.active_ns, thrown)

    def _enter(self) -> Any:
        invocation, timeout_ns = self._invocation, self._operation.timeout_ns
        if not timeout_ns and invocation.parent is None:
            return self._access[1](self._context)
        above = invocation.parent
        deadline_ns = above.deadline_ns if type(above) is Invocation else 0
        if timeout_ns:
            left = max(1, timeout_ns - self.active_ns)  # what the consumer does in between is not the plugin's time
            deadline_ns = min(self._clock() + left, deadline_ns or NEVER_NS)
        invocation.deadline_ns = deadline_ns
        return self._access[1](self._context)

    def _leave(self, token: Any, started_ns: int) -> None:
        self.active_ns += self._clock() - started_ns
        if self._invocation.deadline_ns:
            self._invocation.deadline_ns = 0
        current, _, detach = self._access
        self._context = current()  # a span that the plugin left open across a `yield` is current in its next step too
        try:
            detach(token)
        except ValueError:
            pass  # torn down in another context than it ran in: there is nothing to restore in this one
