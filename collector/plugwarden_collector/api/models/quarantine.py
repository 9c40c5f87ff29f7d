"""Quarantines: what takes a scope out of service and what ends that, and the freeze switch."""

from __future__ import annotations

from typing import Annotated

from plugwarden.contract.value import value
from pydantic import Field

from plugwarden_collector.store.ledger_rows import QuarantineRow

from .answer import Answer
from .words import Asked, Name, Reason, Said, nameable

__all__ = ["Automation", "AutomationRequest", "QuarantineAct", "QuarantineRequest", "QuarantineRow"]


class QuarantineRequest(Asked):
    """Take a scope out of service by hand."""

    plugin: Annotated[Name, nameable("plugin")]
    version: Annotated[Name, nameable("version")] | None = None
    operation: Annotated[Name, nameable("operation")] | None = None
    instance: Annotated[Name, nameable("instance")] | None = None
    tenant: Annotated[Name, nameable("tenant")] | None = None
    reason: Reason
    hold_seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        default=None, description="Probation begins after this long; none: until somebody releases it"
    )
    actor: Said = None


class AutomationRequest(Asked):
    """The freeze switch."""

    frozen: bool
    reason: Reason
    actor: Said = None


@value
class QuarantineAct(Answer):
    """What became of a quarantine that a person began or ended."""

    id: str
    """Identity; a release takes it."""
    scope: str
    """What it covers, in words."""
    state: str
    """`healthy`, `quarantined` or `probation`."""


@value
class Automation(Answer):
    """The freeze switch as it stands."""

    frozen: str | None
    """Why the automation is switched off; null: it acts."""
