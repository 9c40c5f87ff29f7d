"""What must be told to whom right now, given what each receiver knows and is owed: the order of the stages. Pure; time is an argument.

What is due is reckoned anew at every look. What is due and not taken is owed (`announce.tellings`), and kept for when it is over.
"""

from __future__ import annotations

from datetime import datetime

from .message import FIRING, Known, Message, Stage
from .stages.acknowledge import acknowledge
from .stages.dedup import dedup
from .stages.escalate import escalate
from .stages.inhibit import inhibit
from .stages.mute import mute
from .stages.route import route

__all__ = ["STAGES", "due"]

STAGES: tuple[Stage, ...] = (route, mute, inhibit, escalate, acknowledge, dedup)
"""In this order: a message inhibits another only where it reaches the same receiver and is not muted, told before or not, and also where
it waits for others to be told."""


def due(known: Known, at: datetime) -> list[Message]:
    """Return every message that should have been delivered by now: pages first, then what began first."""
    messages = _everything(known)
    for stage in STAGES:
        messages = stage(messages, known, at)
    return sorted(
        messages, key=lambda item: (item.subject.severity != "page", item.subject.started_at, item.subject.key)
    )


def _everything(known: Known) -> list[Message]:
    """Return what is active for every receiver, and what they are owed of what has ended, silenced or not."""
    names = {receiver.name for receiver in known.receivers}
    begun = [
        Message(receiver.name, FIRING, subject) for receiver in known.receivers for subject in known.active.values()
    ]
    ended = [
        Message(name, item.owed, item.subject, item.ended)
        for (name, key), item in known.tellings.items()
        if name in names and key not in known.active and item.ended is not None and item.owed is not None
    ]
    return begun + ended
