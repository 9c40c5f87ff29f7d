"""One try of an earlier version, which only its gate's refusal of this very call ends: what it raises once it runs is the answer.

The try stands in the OpenTelemetry context that the earlier form is called in, so that it reaches the form through whatever the host
has put around it; a call further in stands below an invocation, and one on a thread or in a context of its own does not see it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from plugwarden.errors import CallNotPermitted
from plugwarden.fallback import REFUSED
from plugwarden.gate.refusal import refuses
from plugwarden.invocation import INVOCATION_KEY, context_access

from .codes import unseen

if TYPE_CHECKING:
    from plugwarden.fallback import Answering, Fallback
    from plugwarden.gate.refusal import Refusal
    from plugwarden.operation import Operation

__all__ = ["ATTEMPT_KEY", "Attempt", "attempt_at", "is_awaited"]

ATTEMPT_KEY = otel_context.create_key("plugwarden-attempt")
"""What is tried stands under it; a call that begins below an invocation is never that (shim/doorway.py leaves it out there)."""

MAX_STEPS_BACK = 32
"""Earlier versions that one refused call asks in turn. Each step takes two frames of the host's stack, of which Python allows 1,000."""

Access = tuple[Callable[[], Context], Callable[[Context], Any], Callable[[Any], None]]
"""As `context_access` answers it."""


class Newer(Protocol):
    """The form whose call was refused (shim/form.py)."""

    operation: Operation
    fallback: Fallback | None

    def enter(self, occasion: str) -> bool: ...
    @property
    def answering(self) -> Answering: ...


class Retreat(Protocol):
    """One refused call of it, on its way back (shim/rollback.py)."""

    @property
    def form(self) -> Newer: ...
    @property
    def refusal(self) -> Refusal: ...
    @property
    def attempt(self) -> Attempt | None: ...
    @property
    def earlier(self) -> Operation: ...
    @property
    def access(self) -> Access: ...


class Attempt:
    """Around the block that calls the earlier form, it keeps in what says that the gate there refused the call too; then it is what
    answers, as `Answering`, with the arguments that the newer version was given."""

    __slots__ = (
        "_above",
        "_args",
        "_kwargs",
        "_token",
        "_way",
        "operation",
        "over",
        "refused",
        "steps",
        "taken_up",
        "waits",
    )

    def __init__(self, way: Retreat, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._way, self._args, self._kwargs = way, args, kwargs
        self.operation = way.earlier
        """The earlier version's."""
        self.steps: int = 1 if way.attempt is None else way.attempt.steps + 1
        """How many versions back it is."""
        self._above: Any = None
        self._token: Any = None
        self.over = False
        """The earlier form has returned, raised, or handed out its first item."""
        self.taken_up = False
        """The call ran and failed, or the gate refused it and what the earlier version declares for that answers."""
        self.waits = False
        """The call goes on where its result is wanted, and can still be refused there."""
        self.refused: CallNotPermitted | None = None
        """What the gate said of the call, where nothing of the earlier version's answered it."""

    def __enter__(self) -> Attempt:
        current, attach, _ = self._way.access
        outer = current()
        self._above = outer.get(INVOCATION_KEY)
        self._token = attach(Context({**outer, ATTEMPT_KEY: self}))
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.over = True
        try:
            self._way.access[2](self._token)
        except ValueError:
            pass  # torn down in another context than it ran in: there is nothing to restore in this one
        self._token = None
        if error is not None and not self.taken_up and refuses(error, self.operation.scope):
            self.refused = error
            return True
        if not self.waits:
            self.ran()
            self._args, self._kwargs = (), {}  # contexts that the plugin keeps would hold them
        return False

    @property
    def may_go_on(self) -> bool:
        """Whether a version that is earlier still may be asked."""
        return self.steps < MAX_STEPS_BACK

    def is_at(self, outer: Context) -> bool:
        """Whether a call that begins in this context is the one that is tried, and not one that it makes."""
        return not (self.over or self.taken_up) and outer.get(INVOCATION_KEY) is self._above

    def ran(self) -> None:
        """The earlier version answers."""
        answers = self._way.form.operation.answers
        answers["previous"] = answers.get("previous", 0) + 1

    @unseen
    def answer(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """What the fallback of the newer version answers; raises its refusal where none does."""
        return self._onward().answer(self._args, self._kwargs)

    def answer_async(
        self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Coroutine[Any, Any, Any]:
        """The same of a coroutine function."""
        return self._onward().answer_async(self._args, self._kwargs)

    def answer_steps(
        self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Generator[Any, Any, Any]:
        """The same of a generator function."""
        return self._onward().answer_steps(self._args, self._kwargs)

    def answer_async_steps(
        self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> AsyncGenerator[Any, Any]:
        """The same of an async generator function."""
        return self._onward().answer_async_steps(self._args, self._kwargs)

    def _onward(self) -> Answering:
        """The newer version's fallback, whose place is then taken, or the try that its own call was; raises the newer version's
        refusal where none answers that."""
        refused, self.refused = self.refused, None
        way = self._way
        form = way.form
        if form.enter(REFUSED):
            return form.answering
        if form.fallback is None or not form.fallback.answers_refusals:
            answers = form.operation.answers
            answers["failed"] = answers.get("failed", 0) + 1
        error, before = way.refusal.as_error(form.operation.scope), way.attempt
        if before is not None:
            before.taken_up = False
            if before.over:
                before.refused, error.__cause__ = error, refused
                return before
        raise error from refused


def attempt_at(operation: Operation, outer: Context) -> Attempt | None:
    """The try that a call of `operation` which begins in `outer` is; None where it is none."""
    found = outer.get(ATTEMPT_KEY)
    if type(found) is Attempt and found.operation is operation and found.is_at(outer):
        return found
    return None


def is_awaited(refusal: CallNotPermitted) -> bool:
    """Whether a newer version waits to hear of it, so that nothing else may be made of it on the way."""
    outer = context_access()[0]()
    found = outer.get(ATTEMPT_KEY)
    return type(found) is Attempt and found.is_at(outer) and refuses(refusal, found.operation.scope)
