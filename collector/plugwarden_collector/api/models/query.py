"""Read-only SQL: the statement, and its rows as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from plugwarden.contract.value import value
from pydantic import AfterValidator, Field

from .answer import Answer
from .words import Asked

__all__ = ["QueryAnswer", "QueryRequest"]

Params = dict[str, Any] | list[Any] | None
MIN_INTEGER = -(2**127)
"""Smallest integer of a parameter: that of DuckDB's hugeint."""
MAX_INTEGER = 2**128 - 1
"""Largest integer of a parameter: that of DuckDB's uhugeint."""
MAX_DEPTH = 100
"""Levels of lists and objects in a value; DuckDB takes more, and its own recursion must not be tried."""


def _takeable(params: Params) -> Params:
    """What SQL has no type for is refused by the parameter's name, before anybody fails at it."""
    named = params.items() if isinstance(params, dict) else enumerate(params or [], 1)
    for name, given in named:
        fault = _value_fault(given)
        if fault is not None:
            raise ValueError(f"{f'${name}' if isinstance(params, dict) else f'parameter {name}'}: {fault}")
    return params


def _value_fault(given: Any) -> str | None:
    waiting = [(given, 0)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, int) and not MIN_INTEGER <= item <= MAX_INTEGER:
            return "an integer of more than 128 bits; give it as a text"
        if isinstance(item, str) and not _is_text(item):
            return "half of a surrogate pair is no text"
        if isinstance(item, list | dict):
            if depth >= MAX_DEPTH:
                return f"more than {MAX_DEPTH} lists or objects in each other"
            inner = [*item, *item.values()] if isinstance(item, dict) else item
            waiting += [(one, depth + 1) for one in inner]
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class QueryRequest(Asked):
    """A read-only SQL statement."""

    sql: Annotated[str, Field(min_length=1, max_length=100_000)]
    params: Annotated[Params, AfterValidator(_takeable)] = Field(
        default=None, description="Values for $name, or for ? in order"
    )
    limit: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        default=10_000, description="Rows at most; a JSON answer holds up to 100,000"
    )
    timeout_seconds: Annotated[float, Field(ge=0.1, le=300)] = Field(
        default=15.0, description="Until the last row is out; then the query is interrupted"
    )


@value
class QueryAnswer(Answer):
    """The rows of a statement."""

    columns: list[str]
    """Names may repeat."""
    rows: list[list[Any]]
    """One list a row, in the order of the columns: times as ISO 8601, bytes as hex, integers beyond 2**53 as text."""
    truncated: bool
    """Whether there were more rows than `limit`, or than an answer holds."""
    elapsed_ms: float
    """How long it ran, milliseconds."""
