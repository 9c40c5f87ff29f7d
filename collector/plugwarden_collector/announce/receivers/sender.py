"""What each kind of receiver has: the form of what it is sent, and how it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from plugwarden_collector.rules.receiver import Receiver

from ..notice import Notice
from .answer import Answer

__all__ = ["Occasion", "Sender"]


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a form holds beside the notice."""

    at: datetime
    """When it is sent."""
    stamp: Mapping[str, Any] = field(default_factory=dict)
    """The head of the decision log, for receivers that keep what they get."""
    public_url: str = ""
    """Where people reach the dashboards; empty where nobody said."""
    tolder: str = ""
    """Which collector tells it (`TOLDER`); empty in tests of forms."""


class Sender(Protocol):
    """One kind of receiver."""

    def form(self, receiver: Receiver, notice: Notice, occasion: Occasion) -> dict[str, Any]:
        """Return what is sent, as JSON has it, without anything secret: it is what the log of attempts keeps."""

    async def send(self, receiver: Receiver, form: Mapping[str, Any], attempt: str) -> Answer:
        """Send it, and return what the receiver made of it. `attempt` is the identity of the attempt."""
