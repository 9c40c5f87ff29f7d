"""Group: what is sent at once. Without `group_by` each subject is a group of its own and is told at once; a group waits for its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from plugwarden_collector.rules.receiver import Receiver

from ..message import FIRING, Known, Message, Telling
from ..notice import Notice
from ..subject import Subject

__all__ = ["GROUPED_BY", "MAX_MESSAGES", "group", "group_labels", "group_of"]

GROUPED_BY = ("plugin", "component")
"""Labels by which a receiver of subjects one by one may join what belongs together."""
MAX_MESSAGES = 100
"""Messages of one notice: of a thousand or two characters each, it stays within the 512 KiB that receivers take."""


def group(messages: Sequence[Message], known: Known, at: datetime) -> list[Notice]:
    """Return what to send now, in the order of the messages. A new group waits for `group_wait`, and one of which the receiver was told
    for `group_interval` after that."""
    receivers = {item.name: item for item in known.receivers}
    groups: dict[tuple[str, str], list[Message]] = {}
    for item in messages:
        if item.receiver in receivers:
            groups.setdefault((item.receiver, group_of(receivers[item.receiver], item.subject)), []).append(item)
    members: dict[tuple[str, str], dict[str, Telling]] = {place: {} for place in groups}
    for (name, key), telling in known.tellings.items():
        if name in receivers and receivers[name].group_by is not None:
            place = name, _group(receivers[name], telling.subject.labels)
            if place in members:
                members[place][key] = telling
    return [
        notice
        for (name, identity), due in groups.items()
        for notice in _notices(receivers[name], identity, due, members[name, identity], known, at)
    ]


def group_labels(labels: Mapping[str, str], group_by: Sequence[str] | None = None) -> dict[str, str]:
    """Return those of a subject's labels that name its group."""
    return {name: labels[name] for name in (GROUPED_BY if group_by is None else group_by) if name in labels}


def group_of(receiver: Receiver, subject: Subject) -> str:
    """Return what the group of a subject is known by at a receiver."""
    if receiver.group_by is None:
        return f"{{}}:{{fingerprint={subject.key}}}"
    return _group(receiver, subject.labels)


def _notices(
    receiver: Receiver, identity: str, due: list[Message], known_here: Mapping[str, Telling], known: Known, at: datetime
) -> list[Notice]:
    labels = group_labels(due[0].subject.labels, receiver.group_by)
    if receiver.group_by is None:
        last, begun = known.tellings.get(due[0].key), due[0].subject.started_at
        return [Notice(receiver.name, identity, labels, tuple(due), begun, last is None or last.told_at is None)]
    told = max((item.told_at for item in known_here.values() if item.told_at is not None), default=None)
    begun = min((item.due_at for item in known_here.values()), default=at)
    if told is None:
        ready = at - begun >= receiver.group_wait
    else:
        ready = at - told >= receiver.group_interval
    if not ready:
        # What was due when the group was told last did not fit into that notice: it waits for nothing.
        due = [] if told is None else [item for item in due if _due_since(item, known_here) <= told]
    if not due:
        return []
    if (receiver.name, identity) in known.apart:
        return [_alone(receiver, f"{identity}/{item.subject.key}", labels, item, known_here, at) for item in due]
    keys = {item.subject.key for item in due}
    open_still = [
        Message(receiver.name, FIRING, known.active.get(key, item.subject))
        for key, item in known_here.items()
        if item.told_at is not None and item.ended is None and key not in keys
    ]
    together = [*due, *open_still]
    return [
        Notice(receiver.name, identity, labels, tuple(together[first : first + MAX_MESSAGES]), begun, told is None)
        for first in range(0, len(together), MAX_MESSAGES)
    ][: 1 + (len(due) - 1) // MAX_MESSAGES]


def _alone(
    receiver: Receiver,
    identity: str,
    labels: Mapping[str, str],
    item: Message,
    known_here: Mapping[str, Telling],
    at: datetime,
) -> Notice:
    telling = known_here.get(item.subject.key) or Telling(item.subject, at)
    return Notice(receiver.name, identity, labels, (item,), telling.due_at, telling.told_at is None)


def _due_since(item: Message, known_here: Mapping[str, Telling]) -> datetime:
    """Return since when a message has been due; a repetition or more to say, as late as can be: it waits for its group."""
    if item.ended is not None:
        return item.ended.at
    telling = known_here.get(item.subject.key)
    return datetime.max if telling is None or telling.told_at is not None else telling.due_at


def _group(receiver: Receiver, labels: Mapping[str, str]) -> str:
    found = group_labels(labels, receiver.group_by)
    return "{}:{" + ", ".join(f"{name}={found[name]!r}" for name in sorted(found)) + "}"
