"""The store's upkeep: what was set aside, what waits to be deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from plugwarden.contract.value import value

from plugwarden_collector.store.upkeep import Refused

from .answer import Answer

__all__ = ["Deletion", "SetAside"]


@value
class SetAside(Answer):
    """Rows that could not be counted."""

    id: str
    time: datetime
    """When they were set aside, UTC."""
    batch: int
    """Number of the commit that they came in."""
    what: str
    rows: int
    service_name: str | None
    plugin_id: str | None
    error: str
    """Why they could not be counted."""
    kept: bool
    """Whether the rows are still there, to be counted after all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion(Answer, Refused):
    """A deletion that a person has to allow."""

    view: str
