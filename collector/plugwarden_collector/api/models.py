"""What the API takes. What it answers are rows of the stored views, as they are."""

from __future__ import annotations

from typing import Annotated, Any

from plugwarden.contract import name_fault
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from plugwarden_collector.audit.actor import claimed

__all__ = [
    "AutomationRequest",
    "QuarantineRequest",
    "QueryRequest",
    "ReleaseRequest",
    "SilenceRequest",
]

Name = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(min_length=3, max_length=2000, pattern=r"\S", description="Why; goes into the audit log")]


Said = Annotated[
    Annotated[str, Field(min_length=1, max_length=200)] | None,
    AfterValidator(claimed),
    Field(description="On whose behalf; recorded as said by the token's holder, whose name is the actor"),
]


def _nameable(part: str) -> AfterValidator:
    """The rule by which sidecars take a directive: what is accepted here is obeyed there."""

    def check(name: str) -> str:
        fault = name_fault(part, name)
        if fault is not None:
            raise ValueError(fault)
        return name

    return AfterValidator(check)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


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
    for name, value in named:
        fault = _value_fault(value)
        if fault is not None:
            raise ValueError(f"{f'${name}' if isinstance(params, dict) else f'parameter {name}'}: {fault}")
    return params


def _value_fault(value: Any) -> str | None:
    waiting = [(value, 0)]
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


class QueryRequest(_Strict):
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


class QuarantineRequest(_Strict):
    """Take a scope out of service by hand."""

    plugin: Annotated[Name, _nameable("plugin")]
    version: Annotated[Name, _nameable("version")] | None = None
    operation: Annotated[Name, _nameable("operation")] | None = None
    instance: Annotated[Name, _nameable("instance")] | None = None
    tenant: Annotated[Name, _nameable("tenant")] | None = None
    reason: Reason
    hold_seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        default=None, description="Probation begins after this long; none: until somebody releases it"
    )
    actor: Said = None


class ReleaseRequest(_Strict):
    """End a quarantine by hand."""

    reason: Reason
    actor: Said = None


class SilenceRequest(_Strict):
    """Tell nobody of some alerts for a while."""

    matchers: Annotated[dict[Name, Name], Field(min_length=1, max_length=10)] = Field(
        description="Labels that must all be equal: plugin, version, slo, severity"
    )
    seconds: Annotated[float, Field(ge=1, le=31 * 86_400)]
    comment: Reason
    actor: Said = None


class AutomationRequest(_Strict):
    """The freeze switch."""

    frozen: bool
    reason: Reason
    actor: Said = None
