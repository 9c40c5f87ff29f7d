"""What the API takes. What it answers are rows of the stored views, as they are."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AutomationRequest",
    "ExternalAlert",
    "QuarantineRequest",
    "QueryRequest",
    "ReleaseRequest",
    "SilenceRequest",
]

Name = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(min_length=3, max_length=2000, pattern=r"\S", description="Why; goes into the audit log")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QueryRequest(_Strict):
    """A read-only SQL statement."""

    sql: Annotated[str, Field(min_length=1, max_length=100_000)]
    params: dict[str, Any] | list[Any] | None = Field(default=None, description="Values for $name, or for ? in order")
    limit: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        default=10_000, description="Rows at most; a JSON answer holds up to 100,000"
    )
    timeout_seconds: Annotated[float, Field(ge=0.1, le=300)] = Field(
        default=15.0, description="Until the last row is out; then the query is interrupted"
    )


class QuarantineRequest(_Strict):
    """Take a scope out of service by hand."""

    plugin: Name
    version: Name | None = None
    operation: Name | None = None
    instance: Name | None = None
    tenant: Name | None = None
    reason: Reason
    hold_seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        default=None, description="Probation begins after this long; none: until somebody releases it"
    )
    actor: Name | None = Field(default=None, description="On whose behalf, when the token is a program's")


class ReleaseRequest(_Strict):
    """End a quarantine by hand."""

    reason: Reason
    actor: Name | None = None


class SilenceRequest(_Strict):
    """Tell nobody of some alerts for a while."""

    matchers: Annotated[dict[Name, Name], Field(min_length=1, max_length=10)] = Field(
        description="Labels that must all be equal: plugin, version, slo, severity"
    )
    seconds: Annotated[float, Field(gt=0, le=31 * 86_400)]
    comment: Reason
    actor: Name | None = None


class AutomationRequest(_Strict):
    """The freeze switch."""

    frozen: bool
    reason: Reason
    actor: Name | None = None


class ExternalAlert(BaseModel):
    """One alert of Alertmanager's API v2, as Prometheus posts it."""

    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: str | None = None
    endsAt: str | None = None
    generatorURL: str = ""
