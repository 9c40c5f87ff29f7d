"""What a silence hides: all that people would be told of otherwise, and of what of it nobody is told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.matcher import Matcher, all_match
from plugwarden_collector.rules.receiver import Receiver

from .message import Known
from .pipeline import due
from .subject import Subject, active_at

__all__ = ["Hidden", "hidden_by"]


@dataclass(frozen=True, slots=True)
class Hidden:
    """One thing that a silence hides."""

    key: str
    """Fingerprint of an alert, or id of a quarantine or an incident."""
    name: str
    """What it is called, `alertname` of its labels."""
    severity: str
    """`page` or `ticket`."""
    summary: str
    """One sentence."""
    untold: bool
    """Whether nobody would be told of it: no receiver of it, nor of what speaks for it."""


def hidden_by(
    matchers: Sequence[Matcher],
    subjects: Iterable[Subject],
    receivers: Sequence[Receiver],
    silences: Sequence[Silence],
    at: datetime,
) -> list[Hidden]:
    """Return what a silence of these matchers hides at a moment, pages first, as if nobody had been told of anything yet."""
    active = active_at(subjects, at)
    hiding = Silence("", tuple(matchers), at, datetime.max, "", "")
    told = [item for item in receivers if item.is_told]
    heard = {item.subject.key for item in due(Known(active, (), {}, told, (*silences, hiding)), at)}
    found = [item for item in active.values() if all_match(matchers, item.labels)]
    found.sort(key=lambda item: (item.severity != "page", item.started_at, item.key))
    return [
        Hidden(item.key, item.labels["alertname"], item.severity, item.summary, not heard & {item.key, item.speaker})
        for item in found
    ]
