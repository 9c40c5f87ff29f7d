"""One transition on its way to a receiver, whatever form it has there."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """One transition."""

    sequence: int
    """Its place in the decision log."""
    subject: str
    """What it is about: events of one subject are delivered in their order."""
    body: str
    """The event as it is sent."""
