"""Quarantines: what takes a scope out of service and what ends that, and the freeze switch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from plugwarden.contract.value import value
from pydantic import Field

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
class QuarantineRow(Answer):
    """A scope under watch, from the decision to the end."""

    id: str
    """Identity; a release takes it."""
    plugin_id: str
    """Plugin that the scope covers."""
    plugin_version: str | None
    """Version that the scope is narrowed to; null: all versions."""
    plugin_operation: str | None
    """Operation that the scope is narrowed to; null: all operations."""
    instance_id: str | None
    """Host process that the scope is narrowed to; null: all instances."""
    tenant_id: str | None
    """Tenant that the scope is narrowed to; null: all tenants."""
    state: str
    """`healthy`, `degraded`, `quarantined` or `probation`."""
    step: int
    """Step of probation, from 0."""
    share_ratio: float
    """Share of calls let through, 0 to 1."""
    reason: str
    """Why, in plain language."""
    actor: str
    """`automation`, or the person."""
    enforcement: str
    """`observe`, `suggest` or `enforce`."""
    started_at: datetime
    """When it was decided, UTC."""
    changed_at: datetime
    """When state or step last changed, UTC."""
    hold_until: datetime | None
    """When probation begins, UTC; null until a person releases it."""
    ended_at: datetime | None
    """End, UTC; null while it lasts."""
    repeats: int
    """How often the same scope was quarantined again."""
    superseded_by: str | None
    """Later version that came through probation; this one stays isolated."""
    successor_of: str | None
    """Quarantine because of which this version is on probation."""
    known_versions: list[str]
    """Versions of the plugin that stay allowed."""
    alert: str | None
    """Fingerprint of the alert behind it; null when a person decided."""
    evidence: Mapping[str, Any]
    """What was known at the decision; not stable."""


@value
class Automation(Answer):
    """The freeze switch as it stands."""

    frozen: str | None
    """Why the automation is switched off; null: it acts."""
