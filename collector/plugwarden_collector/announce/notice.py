"""Notices: what is sent to a receiver at once, of one group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .message import FIRING, RESOLVED, Message

__all__ = ["Notice"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Messages of one group to one receiver."""

    receiver: str
    group: str
    """Identity of the group, from its first notice to its last."""
    labels: Mapping[str, str]
    """What its members have in common by the receiver's `group_by`."""
    messages: tuple[Message, ...]
    """At least one; beside those that are due, what the receiver holds for open of the group."""
    begun: datetime
    """Since when there has been something to tell of the group, UTC: one that begins anew has another."""
    first: bool = True
    """Whether the receiver was told nothing of the group before."""

    @property
    def status(self) -> str:
        """`firing` while one of them is."""
        return FIRING if any(item.status == FIRING for item in self.messages) else RESOLVED

    @property
    def keys(self) -> str:
        """Keys of its subjects, as the log of attempts has them."""
        return " ".join(item.subject.key for item in self.messages)
