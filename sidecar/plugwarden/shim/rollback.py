"""The way back from an isolated version to an earlier one that its host still has.

A refused call is answered by the earlier version's own wrapped form, so that it is a call of that version: with its gate, its
deadline, its count and its span. Where that one refuses it as well, the declared fallback is asked, and else the caller sees why the
newer version was refused. What the earlier version raises once it runs is the answer. ADR 0044.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any

from plugwarden.contract import Criticality, Scope
from plugwarden.declaration import Declaration
from plugwarden.errors import ConfigurationError
from plugwarden.gate.refusal import Refusal
from plugwarden.invocation import context_access
from plugwarden.loops import first_step
from plugwarden.operation import Operation
from plugwarden.way_back import Versioned, check_way_back

from .attempt import Attempt
from .codes import unseen
from .form import Form
from .wrap import kind_of

__all__ = ["Rollback", "Way"]


class Rollback:
    """Where the refused calls of one form go first."""

    __slots__ = ("access", "operation", "previous")

    def __init__(self, previous: Callable[..., Any], operation: Operation) -> None:
        self.previous = previous
        """The earlier version's wrapped form."""
        self.operation = operation
        """That version's."""
        self.access = context_access()

    @classmethod
    def of(
        cls, scope: Scope, terms: Declaration, function: Callable[..., Any], operations: Mapping[Scope, Operation]
    ) -> Rollback | None:
        """The way that is declared of `function`; None where none is. `operations` are the sidecar's own.

        Raises `ConfigurationError` where `previous` is not the wrapped form of another version of the same operation, or leads
        back to where it began.
        """
        previous = terms.previous
        if previous is None:
            return None
        found = _operation_of(previous)
        if found is None:
            raise ConfigurationError(
                f"previous: {previous!r:.200} is not observed; wrap it first, with its own version"
            )
        newer = Versioned(scope.plugin, scope.version, scope.operation, terms.criticality is Criticality.SECURITY)
        earlier = _versioned(found)
        if operations.get(found.scope) is not found:
            raise ConfigurationError(f"previous: {earlier} was wrapped by another sidecar; wrap both with the same one")
        check_way_back(newer, [earlier])
        if isinstance(function, type):
            raise ConfigurationError("previous: nothing can be answered in the place of an instance of a class")
        kind, wanted = kind_of(previous), kind_of(function)
        if kind != wanted:
            raise ConfigurationError(f"previous: {earlier} is of another kind, {kind}, than {newer}, {wanted}")
        return cls(previous, found)

    def instead(self, form: Form, refusal: Refusal, attempt: Attempt | None) -> Way:
        """What answers one refused call of `form`, which may be the try of a version that is newer still."""
        return Way(self, form, refusal, attempt)


class Way:
    """What answers one refused call; the same questions as a `Fallback` is asked."""

    __slots__ = ("access", "attempt", "earlier", "form", "refusal", "rollback")

    def __init__(self, rollback: Rollback, form: Form, refusal: Refusal, attempt: Attempt | None) -> None:
        self.rollback = rollback
        self.form = form
        """The newer version's."""
        self.refusal = refusal
        self.attempt = attempt
        """The try that the refused call was itself."""

        self.earlier = rollback.operation
        """The operation of the version that it goes back to."""
        self.access = rollback.access

    @unseen
    def answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The earlier version's answer, or the next one's on the way."""
        with Attempt(self, args, kwargs) as attempt:
            return self.rollback.previous(*args, **kwargs)
        return attempt.answer()

    @unseen
    async def answer_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same of a coroutine function."""
        with Attempt(self, args, kwargs) as attempt:
            result = self.rollback.previous(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result
        return await attempt.answer_async()

    @unseen
    def answer_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any, Any, Any]:
        """The same of a generator function. The gate is asked in the first step; what comes after is the earlier version's."""
        with Attempt(self, args, kwargs) as attempt:
            inner = iter(self.rollback.previous(*args, **kwargs))
            try:
                item = next(inner)
            except StopIteration as stop:
                return stop.value
        if attempt.refused is not None:
            return (yield from attempt.answer_steps())
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - as in generator.py
                step = functools.partial(inner.throw, thrown)
            else:
                step = functools.partial(inner.send, sent)
            try:
                item = step()
            except StopIteration as stop:
                return stop.value

    @unseen
    async def answer_async_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncGenerator[Any, Any]:
        """The same of an async generator function: `yield from` does not exist for these."""
        with Attempt(self, args, kwargs) as attempt:
            inner = self.rollback.previous(*args, **kwargs)
            try:
                item = await first_step(inner)
            except StopAsyncIteration:
                return
        if attempt.refused is not None:
            inner = attempt.answer_async_steps()
            try:
                item = await first_step(inner)
            except StopAsyncIteration:
                return
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                await inner.aclose()
                raise
            except BaseException as thrown:  # noqa: BLE001 - as in generator.py
                step = inner.athrow(thrown)
            else:
                step = inner.asend(sent)
            try:
                item = await step
            except StopAsyncIteration:
                return


def _operation_of(wrapped: Any) -> Operation | None:
    """Whose observed form it is: a static method or something of the host's (`functools.wraps`) may stand around it."""
    found = getattr(inspect.unwrap(wrapped, stop=_is_observed), "__plugwarden__", None)
    return found if isinstance(found, Operation) else None


def _is_observed(form: Any) -> bool:
    return isinstance(getattr(form, "__plugwarden__", None), Operation)


def _versioned(operation: Operation) -> Versioned:
    scope, further, passed = operation.scope, [], operation
    while passed.rollback is not None:
        passed = passed.rollback.operation
        further.append(passed.scope.version)
    return Versioned(scope.plugin, scope.version, scope.operation, operation.fails_closed, tuple(further))
