"""Quarantines: what takes a scope out of service and what ends that, and the freeze switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from plugwarden.contract.value import value
from pydantic import Field

from plugwarden_collector.decide.override import MAX_OVERRIDE_SECONDS
from plugwarden_collector.store import ledger_rows

from .answer import Answer
from .words import Asked, Name, Reason, Said, nameable

__all__ = [
    "Automation",
    "AutomationRequest",
    "QuarantineAct",
    "QuarantineEndRequest",
    "QuarantineForecast",
    "QuarantineRequest",
    "QuarantineRow",
    "RunningCalls",
]


class QuarantineRequest(Asked):
    """Take a scope out of service by hand."""

    plugin: Annotated[Name, nameable("plugin")]
    version: Annotated[Name, nameable("version")] | None = None
    operation: Annotated[Name, nameable("operation")] | None = None
    instance: Annotated[Name, nameable("instance")] | None = None
    tenant: Annotated[Name, nameable("tenant")] | None = None
    reason: Reason
    force: bool = Field(
        default=False,
        description="Isolate it though nobody has called it so far; else a plugin or version that is not known is refused",
    )
    hold_seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        default=None, description="Probation begins after this long; none: until somebody releases it"
    )
    actor: Said = None


class QuarantineEndRequest(Asked):
    """End a quarantine or a suggestion by hand."""

    reason: Reason
    override_seconds: Annotated[float, Field(ge=0, le=MAX_OVERRIDE_SECONDS)] | None = Field(
        default=None, description="How long the automation leaves the scope alone; none: as long as the policy says"
    )
    actor: Said = None


class AutomationRequest(Asked):
    """The freeze switch."""

    frozen: bool
    reason: Reason
    actor: Said = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRow(Answer, ledger_rows.QuarantineRow):
    """A scope that is, or was, under watch."""

    inconclusive: bool
    """Whether its probation waits for a person: too few calls came to judge by."""


@value
class QuarantineAct(Answer):
    """What became of a quarantine that a person began, approved or ended."""

    id: str
    """Identity; a release takes it. What a suggestion became has one of its own."""
    scope: str
    """What it covers, in words."""
    state: str
    """`healthy`, `quarantined` or `probation`."""
    warning: str | None = None
    """What may be a mistake in what was isolated, such as a version that nobody has called; it is isolated all the same."""
    forecast: str | None = None
    """What isolating it costs, in sentences; null where nothing was isolated, or where it could not be said within a second."""


@value
class Hit(Answer):
    """Some of the calls that a quarantine would hit."""

    calls_per_minute: float
    instances: int
    """Host processes that make them."""
    tenants: int
    """0: the calls are for nobody in particular."""


@value
class HitBefore(Answer):
    """Calls that an earlier version would answer."""

    version: str
    """The earlier version, which hosts still have."""
    calls_per_minute: float
    instances: int
    tenants: int


@value
class HitAll(Answer):
    """All calls that a quarantine would hit, and what becomes of them."""

    calls_per_minute: float
    instances: int
    """Host processes that make them."""
    tenants: int
    """0: the calls are for nobody in particular."""
    previous: list[HitBefore]
    """Earlier versions that answer, most calls first."""
    refused: Hit | None
    """Calls that are refused or answered by a fallback; null: an earlier version answers all of them."""


@value
class QuarantineForecast(Answer):
    """What isolating a scope would cost, as the automation forecasts it before it acts; nothing is done."""

    scope: str
    """What it covers, in words."""
    forecast: str
    """The forecast, in sentences."""
    impact: HitAll | None
    """Whom it hits; null: nobody calls what is not isolated already."""
    impact_seconds: float
    """Seconds of calls that it was counted from; at most the last five minutes."""
    running: int | None
    """Calls under way, as hosts told last, which are let end; null: hosts do not count them by tenant."""
    warning: str | None
    """What may be a mistake in what is named, such as a version that nobody has called."""


@value
class RunningCalls(Answer):
    """Calls of a scope that is isolated and that still run: none new begin, and these are let end."""

    id: str
    """Quarantine."""
    running: int | None
    """Calls under way, as hosts told last; null: hosts do not count them by tenant."""
    hosts: int
    """Host processes that told of the scope within two minutes."""
    not_obeying: int
    """Host processes, of those, that have not said yet that they isolate it: calls may still begin there."""
    drained: bool
    """Whether no call runs, and none can begin."""


@value
class Automation(Answer):
    """The freeze switch as it stands."""

    frozen: str | None
    """Why the automation is switched off; null: it acts."""
