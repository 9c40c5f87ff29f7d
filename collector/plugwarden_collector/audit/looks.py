"""What becomes of looks and refusals on their way into the access log: the first is told at once, repeats are folded.

Dashboards ask the same every few seconds, and who guesses tokens guesses fast: neither may fill the log, nor hide in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .entries import Draft

__all__ = ["Folding", "Seen"]

WINDOW = timedelta(minutes=5)
"""Repeats of one thing by one actor become one entry in so long: 288 a day for a page that never closes."""
KINDS_MAX = 200
"""Different things of a kind that are told apart at a time; more are counted together."""
ACTOR_MAX = 50
"""Different things of a kind and one actor that are told apart at a time: who asks ever new things hides nobody else's."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that somebody did, without its time: equal ones are folded."""

    kind: str
    """`sql_read`, `backup_read`, `refused`, `alerts_pushed` and others."""
    actor: str
    scope: str
    """What it was done to: a route, the store."""
    reason: str
    """In words."""
    says: str | None = None


@dataclass(slots=True)
class _Kept:
    evidence: Mapping[str, Any]
    told_at: datetime | None
    first_at: datetime
    last_at: datetime
    count: int


@dataclass(slots=True)
class Folding:
    """What was seen and is not in the log yet. Pure: time is an argument. Its size is bounded by the caps."""

    kept: dict[Seen, _Kept] = field(default_factory=dict)
    beyond: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, actor) -> what was beyond the caps since `beyond_since`."""
    beyond_since: datetime | None = None
    overflowed: int = 0
    """All that ever was beyond the caps, for our own metrics."""
    _of_actor: Counter[tuple[str, str]] = field(default_factory=Counter)
    _of_kind: Counter[str] = field(default_factory=Counter)

    def note(self, seen: Seen, at: datetime, evidence: Mapping[str, Any]) -> None:
        """Something happened."""
        known = self.kept.get(seen)
        if known is not None:
            known.count += 1
            known.last_at = at
            if known.count == 1:
                known.first_at = at
        elif self._of_kind[seen.kind] < KINDS_MAX and self._of_actor[seen.kind, seen.actor] < ACTOR_MAX:
            self.kept[seen] = _Kept(evidence, None, at, at, 1)
            self._of_kind[seen.kind] += 1
            self._of_actor[seen.kind, seen.actor] += 1
        else:
            # Of actors too many: a peer's address costs its sender nothing.
            key = (seen.kind, seen.actor if len(self.beyond) < KINDS_MAX else "others")
            self.beyond[key] += 1
            self.overflowed += 1
            self.beyond_since = self.beyond_since or at

    def due(self, at: datetime, *, everything: bool = False) -> list[Draft]:
        """Entries to write now: what is new, and repeats whose window is over; all of it at the end."""
        drafts = []
        for seen, item in list(self.kept.items()):
            over = item.told_at is None or everything or not timedelta(0) <= at - item.told_at < WINDOW
            if not over:
                continue
            if item.count:
                drafts.append(_draft(seen, item, at))
                item.told_at, item.count = at, 0
            else:  # nothing since it was told: the next one is new again
                del self.kept[seen]
                _less(self._of_kind, seen.kind)
                _less(self._of_actor, (seen.kind, seen.actor))
        since = self.beyond_since
        if since is not None and (everything or not timedelta(0) <= at - since < WINDOW):
            for (kind, actor), count in sorted(self.beyond.items()):
                evidence = {"count": count, "since": since}
                text = f"{count} more, too many different ones to tell apart"
                drafts.append(Draft(at, kind, actor, "beyond the bound", text, evidence=evidence))
            self.beyond.clear()
            self.beyond_since = None
        return drafts


def _draft(seen: Seen, item: _Kept, at: datetime) -> Draft:
    evidence: dict[str, Any] = {**item.evidence, "count": item.count}
    if item.count > 1:
        evidence |= {"first": item.first_at, "last": item.last_at}
    return Draft(at, seen.kind, seen.actor, seen.scope, seen.reason, evidence=evidence, says=seen.says)


def _less(counts: Counter[Any], key: Any) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
