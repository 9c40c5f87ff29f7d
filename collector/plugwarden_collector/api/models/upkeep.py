"""The store's upkeep: what was set aside, what waits to be deleted."""

from __future__ import annotations

from dataclasses import dataclass

from plugwarden_collector.store.upkeep import Refused, SetAside

from .answer import Answer

__all__ = ["Deletion", "SetAside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion(Answer, Refused):
    """A deletion that a person has to allow."""

    view: str
