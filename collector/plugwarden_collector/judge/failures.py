"""Failures that stand behind a verdict: which errors carry it, and calls that show one. Values of the questions a tick asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from plugwarden.contract import Outcome

__all__ = ["ErrorCount", "FailingSpan", "calls_by_error", "carrying"]


_FAILED = frozenset(item for item in Outcome if item.failed)


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """Calls that ended with one error."""

    outcome: str
    """One of `Outcome`, or what a sender of another make wrote."""
    error_type: str
    error_source: str
    calls: int


@dataclass(frozen=True, slots=True)
class FailingSpan:
    """A stored call that failed."""

    trace_id: str
    """32 hex digits."""


def carrying(errors: Iterable[ErrorCount]) -> list[ErrorCount]:
    """Return the errors of calls that ran, in the order given; a refused call did not run."""
    return [item for item in errors if item.outcome in _FAILED]


def calls_by_error(errors: Iterable[ErrorCount]) -> dict[str, int]:
    """Return calls that ran and failed, by error type."""
    counted: Counter[str] = Counter()
    for item in carrying(errors):
        counted[item.error_type] += item.calls
    return dict(counted)
