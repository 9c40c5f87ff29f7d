"""A call of an operation and how it should end: `call("export", rows).answers(b"...")`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.inspection import type_name
from plugwarden.testing.record import Recorded

__all__ = ["Example", "call"]

_ANYTHING = object()


@dataclass(frozen=True, slots=True)
class Example:
    """Made by `call`. Unless told otherwise it should succeed, whatever it answers."""

    operation: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.SUCCESS
    error_type: str | None = None
    error_source: ErrorSource | None = None
    """None: whoever's."""
    answer: Any = _ANYTHING

    def answers(self, answer: Any) -> Example:
        """It should succeed with this, or, where a fallback answers, give the caller this."""
        return replace(self, answer=answer)

    def fails(self, error: type[BaseException] | str, *, source: str | None = None) -> Example:
        """It should raise this: a type, or its qualified name. `source`: who is to blame (`plugin`, `caller`, `downstream`, …)."""
        name = error if isinstance(error, str) else type_name(error)
        blamed = None if source is None else ErrorSource(source)
        return replace(self, outcome=Outcome.ERROR, error_type=name, error_source=blamed)

    def times_out(self) -> Example:
        """It should miss its deadline."""
        return replace(self, outcome=Outcome.TIMEOUT, error_type="timeout")

    def is_control_flow(self) -> Example:
        """It should raise what is no failure."""
        return replace(self, outcome=Outcome.CANCELLED)

    def difference(self, seen: Recorded, answer: Any) -> str | None:
        """What is not as it should be; None: nothing. `answer` is `NO_ANSWER` where the caller got none."""
        wanted = [
            str(self.outcome),
            *filter(None, [self.error_type, self.error_source and f"of the {self.error_source}"]),
        ]
        matches = seen.outcome is self.outcome
        matches = matches and self.error_type in (None, seen.error_type)
        matches = matches and self.error_source in (None, seen.error_source)
        if not matches:
            told = [
                str(seen.outcome),
                *filter(None, [seen.error_type, seen.error_source and f"of the {seen.error_source}"]),
            ]
            said = "" if not seen.message else f" ({seen.message:.200})"
            return f"{self}: {' '.join(told)}{said} instead of {' '.join(wanted)}"
        if self.answer is not _ANYTHING and answer != self.answer:
            told_answer = "nothing" if answer is NO_ANSWER else f"{answer!r:.200}"
            return f"{self}: answered {told_answer} instead of {self.answer!r:.200}"
        return None

    def __str__(self) -> str:
        given = [f"{value!r:.60}" for value in self.args]
        given += [f"{name}={value!r:.60}" for name, value in self.kwargs.items()]
        return f"{self.operation}({', '.join(given)})"


NO_ANSWER = object()


def call(operation: str, *args: Any, **kwargs: Any) -> Example:
    """A call of an operation with these arguments, which should succeed."""
    return Example(operation, args, kwargs)
