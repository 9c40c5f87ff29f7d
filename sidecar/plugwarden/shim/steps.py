"""An invocation that is done step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context

from plugwarden.invocation import Invocation, context_access
from plugwarden.operation import NEVER_NS, Operation

from .codes import unseen
from .deadline import within_deadline
from .form import Form
from .opened import close_invocation

__all__ = ["Steps", "set_deadline"]


class Steps:
    """Runs what is done step by step in its invocation's context, and adds up the time of the steps."""

    __slots__ = ("_access", "_clock", "_context", "_form", "_invocation", "active_ns")

    def __init__(self, form: Form, invocation: Invocation, context: Context, active_ns: int = 0) -> None:
        self._form = form
        self._clock = form.operation.clock
        self._invocation = invocation
        self._context = context
        self._access = context_access()
        self.active_ns = active_ns

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
        close_invocation(self._form, self._invocation, error, self.active_ns, thrown)

    def _enter(self) -> Any:
        operation = self._form.operation
        if operation.timeout_ns or self._invocation.parent is not None:
            set_deadline(operation, self._invocation, self.active_ns)
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


def set_deadline(operation: Operation, invocation: Invocation, active_ns: int) -> None:
    """The deadline of the next step of what has run for `active_ns`: what the consumer does in between is not the plugin's time."""
    above = invocation.parent
    deadline_ns = above.deadline_ns if type(above) is Invocation else 0
    if operation.timeout_ns:
        left = max(1, operation.timeout_ns - active_ns)
        deadline_ns = min(operation.clock() + left, deadline_ns or NEVER_NS)
    invocation.deadline_ns = deadline_ns
