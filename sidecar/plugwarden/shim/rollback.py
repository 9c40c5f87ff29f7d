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
from plugwarden.gate.refusal import Refusal
from plugwarden.operation import Operation

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

    __slots__ = ("operation", "refusal", "rollback")

    def __init__(self, rollback: Rollback, operation: Operation, refusal: Refusal) -> None:
        self.rollback = rollback
        self.operation = operation
        self.refusal = refusal

    @unseen
    def answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The earlier version's answer, or the next one's on the way."""
        with _Attempt(self) as attempt:
            return self.rollback.previous(*args, **kwargs)
        return attempt.onward().answer(args, kwargs)

    @unseen
    async def answer_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same of a coroutine function."""
        with _Attempt(self) as attempt:
            result = self.rollback.previous(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result
        return await attempt.onward().answer_async(args, kwargs)

    @unseen
    def answer_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any, Any, Any]:
        """The same of a generator function."""
        with _Attempt(self) as attempt:
            return (yield from self.rollback.previous(*args, **kwargs))
        return (yield from attempt.onward().answer_steps(args, kwargs))

    @unseen
    async def answer_async_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncGenerator[Any, Any]:
        """The same of an async generator function: `yield from` does not exist for these."""
        with _Attempt(self) as attempt:
            inner = self.rollback.previous(*args, **kwargs)
            step = inner.__anext__()
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                attempt.begun = True
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - as in generator.py
                    step = inner.athrow(thrown)
                else:
                    step = inner.asend(sent)
        async for item in attempt.onward().answer_async_steps(args, kwargs):
            yield item


class _Attempt:
    """One try of the earlier version: around the block, it keeps in what says that the gate there refused the call too."""

    __slots__ = ("_refused", "_way", "begun")

    def __init__(self, way: _Way) -> None:
        self._way = way
        self._refused: CallNotPermitted | None = None
        self.begun = False
        """It has handed out an item, so that nothing can take its place any more."""

    def __enter__(self) -> _Attempt:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        back = self._way.rollback
        if isinstance(error, CallNotPermitted) and not self.begun and error.scope == back.operation.scope:
            self._refused = error
            return True
        back.answered += 1
        return False

    def onward(self) -> Fallback:
        """The fallback, whose place is then taken; raises the newer version's refusal where none answers that."""
        refused, self._refused = self._refused, None
        operation = self._way.operation
        fallback = operation.fallback_for_refusals()
        if fallback is None:
            declared = operation.fallback
            self._way.rollback.exhausted += declared is None or not declared.answers_refusals
            raise self._way.refusal.as_error(operation.scope) from refused
        return fallback


def _operation_of(wrapped: Any) -> Operation | None:
    """Whose observed form it is: a static method stands around it."""
    found = getattr(wrapped, "__plugwarden__", None) or getattr(
        getattr(wrapped, "__func__", None), "__plugwarden__", None
    )
    return found if isinstance(found, Operation) else None


def _named(scope: Scope) -> str:
    return f"{scope.plugin}@{scope.version} operation={scope.operation}"
