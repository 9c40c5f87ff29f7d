"""What must be told to whom right now, given what each receiver was told last: the order of the stages. Pure; time is an argument.

There is no queue: whatever is not told yet is due again at the next look, so that a receiver may be away for as long as it
likes, and a restart begins where the last one ended.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from .message import FIRING, RESOLVED, Known, Message, Stage
from .stages.acknowledge import acknowledge
from .stages.dedup import dedup
from .stages.group import group
from .stages.inhibit import inhibit
from .stages.mute import mute
from .stages.route import route
from .subject import source_of

__all__ = ["STAGES", "due"]

STAGES: tuple[Stage, ...] = (route, mute, inhibit, acknowledge, dedup, group)
"""In this order: a message inhibits another only where it reaches the same receiver and is not muted, told before or not."""


def due(known: Known, at: datetime) -> list[Message]:
    """Return every message that should have been delivered by now, in the order in which to deliver."""
    active = {key: item for key, item in known.active.items() if item.is_active(at)}
    known = replace(known, active=active)
    messages = _everything(known)
    for stage in STAGES:
        messages = stage(messages, known, at)
    return messages


def _everything(known: Known) -> list[Message]:
    """Return what is active for every receiver, and for whoever was told of a beginning its end, silenced or not."""
    names = {receiver.name for receiver in known.receivers}
    begun = [
        Message(receiver.name, FIRING, subject) for receiver in known.receivers for subject in known.active.values()
    ]
    ended = [
        Message(name, RESOLVED, last.subject)
        for (name, key), last in known.told.items()
        if name in names and key not in known.active and source_of(key) in known.reported
    ]
    return begun + ended
