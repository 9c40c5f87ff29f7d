"""What is counted of calls: measures of one kind differ in whom they are about alone, and share what is counted and remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plugwarden_collector.rules.pattern import EVERY, to_regex
from plugwarden_collector.store.calls import Measure

__all__ = ["FAILURES", "Kind", "regex_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Which calls are bad, and of which operations."""

    fast: int | None = None
    """The last histogram bucket that is fast; None: calls that failed are bad, and not slow ones."""
    operations: str = EVERY
    """A pattern of operations."""

    @classmethod
    def of(cls, measure: Measure) -> Kind:
        """Return the kind of a measure."""
        return cls(measure.fast_index, measure.operations)

    @property
    def asked(self) -> dict[str, Any]:
        """Parameters of the statements that count it."""
        return {"operations": regex_of(self.operations), **({} if self.fast is None else {"fast": self.fast})}


FAILURES = Kind()
"""Failures of all operations."""


def regex_of(pattern: str) -> str | None:
    """Return a pattern as the parameter of a statement; None: it matches everything."""
    return None if pattern == EVERY else to_regex(pattern)
