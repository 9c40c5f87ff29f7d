"""Who sends, how often, and who has stopped: a bounded table, kept at the cost of one dictionary entry per request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["MISSED_INTERVALS", "Sender", "SenderState", "Senders"]

MAX_SENDERS = 10_000
MAX_NAME = 200
MISSED_INTERVALS = 3
"""A sender that has been silent for more of its own export intervals is stale."""
MIN_SILENCE_SECONDS = 15.0
BURST_SECONDS = 1.0
"""Requests closer together belong to one export: a process sends its signals one after the other."""
ENDED_SECONDS = 2.0
"""A process that said it was about to end, and then was silent for so long, has; until then it sends a last time."""
MIN_EXPORTS = 3
"""Two gaps between exports are the least from which an interval can be told."""
FORGETTING = 0.1
"""With each export the longest gap counts for so much less: after an outage the old interval is back within minutes."""
FORGET = timedelta(hours=1)
"""A process that ended and one that fell silent look the same from here; after this long nobody waits for it any more."""
HANDOVER = timedelta(minutes=10)
"""A deployment starts new instances up to this long before the old ones end."""

LIVING = ("learning", "sending")
"""States of a process that is heard of, and has not said that it ends."""


@dataclass(slots=True)
class Sender:
    """One process that sends telemetry."""

    service: str
    instance: str
    first_at: datetime
    last_at: datetime
    """The last request."""
    export_at: datetime
    """The beginning of the last export."""
    exports: int = 1
    requests: int = 1
    longest_gap_seconds: float = 0.0
    """Between exports, older gaps counting less and less."""
    ending: bool = False
    """Its last metrics said that its process was about to end."""

    @property
    def interval_seconds(self) -> float | None:
        """The export interval as learned; None until there is enough to learn from."""
        return self.longest_gap_seconds if self.exports >= MIN_EXPORTS else None

    def limit_seconds(self) -> float | None:
        """How long it may be silent."""
        interval = self.interval_seconds
        return None if interval is None else max(MIN_SILENCE_SECONDS, MISSED_INTERVALS * interval)


@dataclass(frozen=True, slots=True)
class SenderState:
    """A sender at one moment."""

    service: str
    instance: str
    state: str
    """`sending`, `silent`, `replaced` (a newer instance of its service took over), `ended` (it said so before it fell
    silent), or `learning` its interval."""
    first_at: datetime
    last_at: datetime
    interval_seconds: float | None
    silent_seconds: float
    requests: int


class Senders:
    """Written by one thread at a time, read from any."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Sender] = {}
        """Least recently heard first."""

    def heard(self, service: str, instance: str, at: datetime) -> None:
        """A request came in."""
        key = service[:MAX_NAME], instance[:MAX_NAME]
        sender = self._known.pop(key, None)
        if sender is None:
            sender = Sender(*key, first_at=at, last_at=at, export_at=at)
            if len(self._known) >= MAX_SENDERS:
                del self._known[next(iter(self._known))]
        else:
            gap = (at - sender.export_at).total_seconds()
            sender.requests += 1
            sender.last_at = at
            if gap >= BURST_SECONDS:
                kept = sender.longest_gap_seconds + FORGETTING * (gap - sender.longest_gap_seconds)
                sender.longest_gap_seconds = max(gap, kept)
                sender.export_at = at
                sender.exports += 1
        self._known[key] = sender

    def told_ending(self, service: str, instance: str, *, ending: bool) -> None:
        """Metrics came in, and said whether their process was about to end."""
        sender = self._known.get((service[:MAX_NAME], instance[:MAX_NAME]))
        if sender is not None:
            sender.ending = ending

    def living(self, at: datetime) -> frozenset[str]:
        """Return services of which a process is heard of, and has not said that it ends."""
        return frozenset(item.service for item in self.states(at) if item.state in LIVING)

    def states(self, at: datetime) -> list[SenderState]:
        """Everybody who was heard of within `FORGET`, the silent first, then by name."""
        for key, sender in list(self._known.items()):
            if at - sender.last_at <= FORGET:
                break  # in order of hearing: all that follow are younger
            self._known.pop(key, None)
        known = list(self._known.values())
        silent = {id(sender): sender for sender in known if _silent(sender, at)}
        replaced = _replaced(silent, known)
        found = [_state(sender, at, id(sender) in silent, id(sender) in replaced) for sender in known]
        order = ("silent", *LIVING, "replaced", "ended")
        return sorted(found, key=lambda item: (order.index(item.state), item.service, item.instance))


def _silent(sender: Sender, at: datetime) -> bool:
    limit = sender.limit_seconds()
    return limit is not None and not sender.ending and (at - sender.last_at).total_seconds() > limit


def _replaced(silent: Mapping[int, Sender], known: Sequence[Sender]) -> set[int]:
    """The ids of silent senders that newer instances of the same service took over from: one for one, oldest first."""
    if not silent:
        return set()
    newcomers: dict[str, list[Sender]] = defaultdict(list)
    for sender in sorted(known, key=lambda item: item.first_at):
        if id(sender) not in silent:
            newcomers[sender.service].append(sender)
    found = set()
    for sender in sorted(silent.values(), key=lambda item: item.last_at):
        waiting = newcomers[sender.service]
        while waiting:
            newcomer = waiting.pop(0)
            if newcomer.first_at >= sender.last_at - HANDOVER and newcomer.first_at > sender.first_at:
                found.add(id(sender))
                break
    return found


def _state(sender: Sender, at: datetime, silent: bool, replaced: bool) -> SenderState:
    interval = sender.interval_seconds
    word = "replaced" if replaced else "silent" if silent else "learning" if interval is None else "sending"
    quiet = max(0.0, (at - sender.last_at).total_seconds())
    if sender.ending and quiet > ENDED_SECONDS:
        word = "ended"
    return SenderState(
        sender.service, sender.instance, word, sender.first_at, sender.last_at, interval, quiet, sender.requests
    )
