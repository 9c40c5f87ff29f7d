"""The way back from an isolated version to an earlier one that its host still has.

A refused call is answered by the earlier version's own wrapped form, so that it is a call of that version: with its gate, its
deadline, its count and its span. Where that one refuses it as well, the declared fallback is asked, and else the caller sees why the
newer version was refused. What the earlier version raises once it runs is the answer. ADR 0044.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any

from plugwarden.contract import Criticality, Scope
from plugwarden.declaration import Declaration
from plugwarden.errors import CallNotPermitted, ConfigurationError
from plugwarden.fallback import Fallback
from plugwarden.operation import Operation, Refusal

from .codes import unseen
from .wrap import kind_of

__all__ = ["Rollback"]


class Rollback:
    """Where the refused calls of one operation go first. Its counts are statistics, as a fallback's are."""

    __slots__ = ("answered", "exhausted", "operation", "previous")

    def __init__(
        self, previous: Callable[..., Any], operation: Operation, answered: int = 0, exhausted: int = 0
    ) -> None:
        self.previous = previous
        """The earlier version's wrapped form."""
        self.operation = operation
        """That version's."""
        self.answered = answered
        """How often it ran."""
        self.exhausted = exhausted
        """How often it was refused too, and no fallback was declared for that."""

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
        there, known = found.scope, operations.get(scope)
        if operations.get(there) is not found:
            raise ConfigurationError(
                f"previous: {_named(there)} was wrapped by another sidecar; wrap both with the same one"
            )
        if (there.plugin, there.operation) != (scope.plugin, scope.operation):
            raise ConfigurationError(f"previous: {_named(there)} is not an earlier version of {_named(scope)}")
        if there.version == scope.version:
            raise ConfigurationError(
                f"previous: {_named(there)} is the version itself; give another version's function"
            )
        passed = found
        while passed.rollback is not None:
            passed = passed.rollback.operation
            if passed is known:
                raise ConfigurationError(f"previous: {_named(there)} goes back to {_named(scope)} itself")
        if isinstance(function, type):
            raise ConfigurationError("previous: nothing can be answered in the place of an instance of a class")
        kind, wanted = kind_of(previous), kind_of(function)
        if kind != wanted:
            raise ConfigurationError(
                f"previous: {_named(there)} is of another kind, {kind}, than {_named(scope)}, {wanted}"
            )
        if terms.criticality is Criticality.SECURITY and not found.fails_closed:
            raise ConfigurationError(
                f"previous: {_named(scope)} is of criticality security and fails closed; so must {_named(there)}"
            )
        before = None if known is None else known.rollback  # a host that wraps for each request goes on counting
        return cls(previous, found) if before is None else cls(previous, found, before.answered, before.exhausted)

    def instead(self, operation: Operation, refusal: Refusal) -> _Way:
        """What answers one refused call of the newer version."""
        return _Way(self, operation, refusal)


class _Way:
    """What answers one refused call; the same questions as a `Fallback` is asked."""

    __slots__ = ("_operation", "_refusal", "_rollback")

    def __init__(self, rollback: Rollback, operation: Operation, refusal: Refusal) -> None:
        self._rollback = rollback
        self._operation = operation
        self._refusal = refusal

    @unseen
    def answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The earlier version's answer, or the next one's on the way."""
        back = self._rollback
        ran = True
        try:
            return back.previous(*args, **kwargs)
        except CallNotPermitted as error:
            ran = error.scope != back.operation.scope
            if ran:
                raise
            onward = self._onward(error)
        finally:
            back.answered += ran
        return onward.answer(args, kwargs)

    @unseen
    async def answer_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same of a coroutine function."""
        back = self._rollback
        ran = True
        try:
            result = back.previous(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result
        except CallNotPermitted as error:
            ran = error.scope != back.operation.scope
            if ran:
                raise
            onward = self._onward(error)
        finally:
            back.answered += ran
        return await onward.answer_async(args, kwargs)

    @unseen
    def answer_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any, Any, Any]:
        """The same of a generator function."""
        back = self._rollback
        ran = True
        try:
            return (yield from back.previous(*args, **kwargs))
        except CallNotPermitted as error:
            ran = error.scope != back.operation.scope
            if ran:
                raise
            onward = self._onward(error)
        finally:
            back.answered += ran
        return (yield from onward.answer_steps(args, kwargs))

    @unseen
    async def answer_async_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncGenerator[Any, Any]:
        """The same of an async generator function: `yield from` does not exist for these."""
        back = self._rollback
        ran, begun = True, False
        try:
            inner = back.previous(*args, **kwargs)
            step = inner.__anext__()
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                begun = True
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - as in generator.py
                    step = inner.athrow(thrown)
                else:
                    step = inner.asend(sent)
        except CallNotPermitted as error:
            ran = begun or error.scope != back.operation.scope
            if ran:
                raise
            onward = self._onward(error)
        finally:
            back.answered += ran
        async for item in onward.answer_async_steps(args, kwargs):
            yield item

    def _onward(self, error: CallNotPermitted) -> Fallback:
        """The fallback, whose place is then taken; raises the newer version's refusal where none answers that."""
        operation = self._operation
        fallback = operation.fallback_for_refusals()
        if fallback is None:
            declared = operation.fallback
            self._rollback.exhausted += declared is None or not declared.answers_refusals
            raise self._refusal.as_error(operation.scope) from error
        return fallback


def _operation_of(wrapped: Any) -> Operation | None:
    """Whose observed form it is: a static method stands around it."""
    found = getattr(wrapped, "__plugwarden__", None) or getattr(
        getattr(wrapped, "__func__", None), "__plugwarden__", None
    )
    return found if isinstance(found, Operation) else None


def _named(scope: Scope) -> str:
    return f"{scope.plugin}@{scope.version} operation={scope.operation}"
