"""What answers in a plugin's place: a chain of steps, tried in order, with a bulkhead of its own.

`Value(x)` answers x; `LastGood()` the last result the plugin gave; a callable is called with the same arguments, and
another version's wrapped function is such a callable. A step that raises an `Exception` hands on to the next.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Generator, Iterable
from time import perf_counter_ns
from types import AsyncGeneratorType
from typing import Any, Protocol

from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError
from plugwarden.given import number, whole

__all__ = ["Answering", "Fallback", "LastGood", "Value"]

REFUSED, FAILED, TIMED_OUT = "refused", "failed", "timeout"
_OCCASIONS = frozenset({REFUSED, FAILED, TIMED_OUT})


@value
class Value:
    """A constant answer. It is handed out as it is, so it should not be one that callers change."""

    value: Any


class LastGood:
    """The last result the plugin gave, while it is not older than `max_age_seconds`. One result is kept per wrapping."""

    __slots__ = ("_at", "_held", "clock", "max_age_seconds")

    def __init__(self, max_age_seconds: float = 300.0) -> None:
        if not number(max_age_seconds) > 0:
            raise ConfigurationError("fallback: LastGood(max_age_seconds) must be above 0")
        self.max_age_seconds = max_age_seconds
        self._held: tuple[Any] | None = None
        self._at = 0
        self.clock: Callable[[], int] = perf_counter_ns
        """Nanoseconds; that of the operation whose results are kept."""

    def keep(self, result: Any) -> None:
        """Remember a good result."""
        self._held, self._at = (result,), self.clock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        held = self._held
        if held is None or self.clock() - self._at > self.max_age_seconds * 1e9:
            raise LookupError("no good result is known, or it is too old")
        return held[0]


Step = Callable[..., Any] | Value
Counts = dict[str, int]
"""What became of calls, and how often: `step 1`, `step 2`, …, `failed` (all did), `full` (no place)."""


class Answering(Protocol):
    """What answers a refused call, in the way of each kind of function."""

    def answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...
    def answer_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]: ...
    def answer_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any, Any, Any]: ...
    def answer_async_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncGenerator[Any, Any]: ...


class Fallback:
    """A chain of steps."""

    __slots__ = (
        "__weakref__",
        "_concurrent",
        "_given",
        "_places",
        "_steps",
        "answers",
        "closed",
        "keepers",
    )

    def __init__(
        self,
        *steps: Step,
        concurrent: int = 10,
        answers: Iterable[str] = _OCCASIONS,
        closed: bool = False,
    ) -> None:
        """`concurrent` is how many may run at once (Hystrix's default is 10); past it, callers see the plugin's error.

        `answers` says when: `refused`, `failed`, `timeout`. `closed` declares that it denies, which a plugin of
        criticality `security` requires. Raises `ConfigurationError`.
        """
        if not steps:
            raise ConfigurationError("fallback: at least one step is needed")
        if not whole(concurrent) >= 1:
            raise ConfigurationError("fallback: concurrent must be 1 or more")
        self.answers = frozenset(answers)
        if not self.answers <= _OCCASIONS or not self.answers:
            raise ConfigurationError(f"fallback: answers must be some of {', '.join(sorted(_OCCASIONS))}")
        for step in steps:
            if not callable(step) and not isinstance(step, Value):
                raise ConfigurationError(f"fallback: {step!r} cannot be called; for a constant write Value({step!r})")
        self._steps: tuple[Callable[..., Any], ...] = tuple(
            _constant(step.value) if isinstance(step, Value) else step for step in steps
        )
        self.keepers = tuple(step for step in steps if isinstance(step, LastGood))
        self._given = steps
        self.closed = closed
        self._concurrent = concurrent
        self.renew_lock()

    def anew(self) -> Fallback:
        """One that is declared alike and knows nothing of what this one keeps."""
        steps = (LastGood(step.max_age_seconds) if isinstance(step, LastGood) else step for step in self._given)
        return Fallback(*steps, concurrent=self._concurrent, answers=self.answers, closed=self.closed)

    def renew_lock(self) -> None:
        """After a fork: all places are free, as the threads that hold them are the parent's."""
        self._places = threading.Semaphore(self._concurrent)

    @property
    def answers_refusals(self) -> bool:
        """Whether it is for calls that were refused."""
        return REFUSED in self.answers

    # The counts are the caller's: what became of the calls of one operation.

    def enter(self, counts: Counts) -> bool:
        """Take a place; False when all are taken. Who entered must call one of the answers."""
        if self._places.acquire(blocking=False):
            return True
        _count(counts, "full")
        return False

    def answer(self, args: tuple[Any, ...], kwargs: dict[str, Any], counts: Counts) -> Any:
        """The first answer; raises what the last step raised."""
        try:
            last = len(self._steps)
            for number, step in enumerate(self._steps, start=1):
                try:
                    result = step(*args, **kwargs)
                except Exception:
                    if number == last:
                        _count(counts, "failed")
                        raise
                    continue
                _count(counts, f"step {number}")
                return result
        finally:
            self._places.release()

    async def answer_async(self, args: tuple[Any, ...], kwargs: dict[str, Any], counts: Counts) -> Any:
        """The same where steps may be coroutine functions."""
        try:
            last = len(self._steps)
            for number, step in enumerate(self._steps, start=1):
                try:
                    result = step(*args, **kwargs)
                    if inspect.isawaitable(result):
                        result = await result
                except Exception:
                    if number == last:
                        _count(counts, "failed")
                        raise
                    continue
                _count(counts, f"step {number}")
                return result
        finally:
            self._places.release()

    def answer_steps(self, args: tuple[Any, ...], kwargs: dict[str, Any], counts: Counts) -> Generator[Any, Any, Any]:
        """The same in a generator's place: items one by one. A step may answer any iterable, or None for no items."""
        instead = self.answer(args, kwargs, counts)
        return None if instead is None else (yield from instead)

    def answer_async_steps(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], counts: Counts
    ) -> AsyncGenerator[Any, Any]:
        """The same in an async generator's place; one that a step answers is handed out as it is."""
        instead = self.answer(args, kwargs, counts)
        return instead if isinstance(instead, AsyncGeneratorType) else _each(instead)

    def leave(self) -> None:
        """Give a place back unused."""
        self._places.release()


async def _each(items: AsyncIterable[Any] | None) -> AsyncGenerator[Any, Any]:
    if items is not None:
        async for item in items:
            yield item


def _count(counts: Counts, answer: str) -> None:
    counts[answer] = counts.get(answer, 0) + 1


def _constant(value: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: value
