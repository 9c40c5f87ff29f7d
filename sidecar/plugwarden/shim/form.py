"""One wrapped form of an operation: what answers in its place, and what its results mean, is what was given when it was wrapped.

The gate, the breaker and the counts are the operation's, and all forms of it share them. A fallback, an earlier version and what is
said of arguments, results and exceptions are not shared: a host that wraps the functions of each tenant, or the methods of each
object, would answer one with what is another's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol

from plugwarden import settlement
from plugwarden.errors import CallNotPermitted
from plugwarden.fallback import REFUSED
from plugwarden.gate.refusal import Refusal
from plugwarden.invocation import Invocation, context_access

from .attempt import Attempt, attempt_at
from .codes import unseen

if TYPE_CHECKING:
    from plugwarden.declaration import Declaration
    from plugwarden.fallback import Answering, Fallback, LastGood
    from plugwarden.operation import Operation

__all__ = ["Form"]


class Rollback(Protocol):
    """The way back to an earlier version (shim/rollback.py)."""

    def instead(self, form: Form, refusal: Refusal, attempt: Attempt | None) -> Answering: ...


class Form:
    """What belongs to one wrapping; as `Answering`, its fallback, whose place must have been taken."""

    __slots__ = ("_current", "declaration", "fallback", "keepers", "operation", "rollback")

    def __init__(self, operation: Operation, declaration: Declaration, rollback: Rollback | None = None) -> None:
        self.operation = operation
        self.declaration = declaration
        """What was said of this one. What guards calls is the operation's, whose terms may have been declared since."""
        self.fallback = declaration.fallback
        self.rollback = rollback
        """Where calls go that a directive for this version alone refuses."""
        self.keepers: tuple[LastGood, ...] = () if self.fallback is None else self.fallback.keepers
        """Steps of the fallback that want to know good results of this form."""
        self._current = context_access()[0]

    def refuse(
        self, invocation: Invocation | None, refusal: Refusal, attempt: Attempt | None = None
    ) -> Answering | None:
        """Record a call that did not run; return what answers in its place: an earlier version, or the fallback, whose place is
        then taken. `attempt`: on behalf of which it was made, where that is over."""
        if invocation is None:
            return None  # not even that could be made, and the plugin fails closed
        operation, entered = self.operation, False
        try:
            if attempt is None:
                attempt = self.attempt()
            back = self.rollback if refusal.version_alone and (attempt is None or attempt.may_go_on) else None
            entered = back is None and self.enter(REFUSED)
            recorded = settlement.refuse(operation, invocation, refusal, answered=back is not None or entered)
        except Exception:  # noqa: BLE001 - the host must not pay for an error of ours
            operation.faults += 1
            recorded = False
        if not recorded:
            if entered:
                self.leave()
            return None
        if back is not None:
            instead: Answering = back.instead(self, refusal, attempt)
        elif entered:
            instead = self
        elif attempt is not None and attempt.over:
            attempt.refused = refusal.as_error(operation.scope)
            return attempt
        else:
            return None
        if attempt is not None:
            attempt.taken_up = True
        return instead

    def as_error(self, refusal: Refusal) -> CallNotPermitted:
        """The exception a caller sees where nothing answers."""
        return refusal.as_error(self.operation.scope)

    def attempt(self) -> Attempt | None:
        """The try of an earlier version that a call which begins here is."""
        outer = self._current()
        return attempt_at(self.operation, outer) if outer else None

    # -- the fallback ---------------------------------------------------------------------------------------------------

    def enter(self, occasion: str) -> bool:
        """Take a place in the fallback, where it answers that; False where it does not, or has none. What failed has run, so that
        no later refusal may end the try that it was."""
        if occasion != REFUSED and (attempt := self.attempt()) is not None:
            attempt.taken_up = True
        fallback = self.fallback
        return fallback is not None and occasion in fallback.answers and fallback.enter(self.operation.answers)

    def leave(self) -> None:
        """Give the place back unused."""
        self._entered.leave()

    @property
    def answering(self) -> Answering:
        """Itself, for whoever has taken a place."""
        return self

    @unseen
    def answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The fallback's answer."""
        return self._entered.answer(args, kwargs, self.operation.answers)

    def answer_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
        """The same of a coroutine function."""
        return self._entered.answer_async(args, kwargs, self.operation.answers)

    def answer_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any, Any, Any]:
        """The same of a generator function."""
        return self._entered.answer_steps(args, kwargs, self.operation.answers)

    def answer_async_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncGenerator[Any, Any]:
        """The same of an async generator function."""
        return self._entered.answer_async_steps(args, kwargs, self.operation.answers)

    @property
    def _entered(self) -> Fallback:
        assert self.fallback is not None  # noqa: S101 - who asks has taken a place in it
        return self.fallback
