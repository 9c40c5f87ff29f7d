"""What stands, as Alertmanager's API says it. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from plugwarden_collector.announce.stages.group import group_labels
from plugwarden_collector.announce.stages.route import wants
from plugwarden_collector.announce.subject import Subject
from plugwarden_collector.decide.silence import Silence, silenced_by
from plugwarden_collector.matcher import Matcher, Op, all_match
from plugwarden_collector.rules.receiver import Receiver
from plugwarden_collector.store.ledger_rows import AlertRow

__all__ = ["Wanted", "alerts_of", "groups_of", "silence_as", "speaks_of"]

GOES_ON = timedelta(minutes=5)
"""How far ahead the end of an alert is that goes on: Alertmanager's `resolve_timeout`."""
_OPS = {(False, True): Op.EQUAL, (False, False): Op.UNEQUAL, (True, True): Op.LIKE, (True, False): Op.UNLIKE}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts somebody asks for."""

    matchers: Sequence[Matcher] = ()
    """All must be true of the labels."""
    active: bool = True
    """Those that are neither silenced nor inhibited."""
    silenced: bool = True
    inhibited: bool = True
    receiver: Matcher | None = None
    """What must be true of the name of a receiver, under the label `receiver`."""

    def takes(self, alert: Mapping[str, Any]) -> bool:
        """Return whether an alert is asked for."""
        status, names = alert["status"], [item["name"] for item in alert["receivers"]]
        return (
            all_match(self.matchers, alert["labels"])
            and (self.active or status["state"] != "active")
            and (self.silenced or not status["silencedBy"])
            and (self.inhibited or not status["inhibitedBy"])
            and (self.receiver is None or any(self.receiver.matches({"receiver": name}) for name in names))
        )


def alerts_of(
    subjects: Iterable[Subject],
    pushed: Iterable[AlertRow],
    receivers: Sequence[Receiver],
    silences: Sequence[Silence],
    wanted: Wanted,
    at: datetime,
) -> list[dict[str, Any]]:
    """Return what people are told of and what others pushed, as `GettableAlert`, of what is asked for."""
    active = {item.key: item for item in subjects if item.is_active(at)}
    found = [_told(item, active, receivers, silences, at) for item in active.values()]
    found += [_pushed(row, silences, at) for row in pushed if row.source == "prometheus" and row.state == "firing"]
    return [item for item in found if wanted.takes(item)]


def groups_of(alerts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return alerts as `AlertGroup`: by receiver, and by what they are about."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[Mapping[str, Any]]] = {}
    for alert in alerts:
        about = tuple(sorted(group_labels(alert["labels"]).items()))
        for receiver in alert["receivers"]:
            groups.setdefault((receiver["name"], about), []).append(alert)
    return [
        {"labels": dict(about), "receiver": {"name": name}, "alerts": found}
        for (name, about), found in sorted(groups.items(), key=lambda item: item[0])
    ]


def silence_as(item: Silence, at: datetime) -> dict[str, Any]:
    """Return a silence as `GettableSilence`."""
    matchers = [
        {"name": one.name, "value": one.value, "isRegex": regex, "isEqual": equal}
        for one in item.matchers
        for (regex, equal), op in _OPS.items()
        if op is one.op
    ]
    return {
        "id": item.id, "matchers": matchers, "startsAt": item.starts_at, "endsAt": item.ends_at, "updatedAt": item.starts_at,
        "createdBy": item.created_by, "comment": item.comment, "status": {"state": item.state(at)},
    }  # fmt: skip


def speaks_of(item: Silence, matchers: Sequence[Matcher]) -> bool:
    """Return whether matchers are true of the values that a silence names."""
    return all_match(matchers, {one.name: one.value for one in item.matchers})


def _told(
    item: Subject,
    active: Mapping[str, Subject],
    receivers: Sequence[Receiver],
    silences: Sequence[Silence],
    at: datetime,
) -> dict[str, Any]:
    names = [{"name": receiver.name} for receiver in receivers if receiver.is_told and wants(receiver, item)]
    texts = {"summary": item.summary, "description": item.description}
    inhibited = [item.speaker] if item.speaker in active else []
    return {
        **_state(item.labels, silences, inhibited, at), "labels": item.labels, "annotations": texts, "receivers": names,
        "fingerprint": item.key, "startsAt": item.started_at, "generatorURL": "",
    }  # fmt: skip


def _pushed(row: AlertRow, silences: Sequence[Silence], at: datetime) -> dict[str, Any]:
    texts = {"summary": row.summary, "description": row.description}
    return {
        **_state(row.labels, silences, [], at), "labels": row.labels, "annotations": texts, "receivers": [],
        "fingerprint": row.fingerprint, "startsAt": row.firing_at or row.changed_at,
        "generatorURL": str(row.detail.get("generator", "")),
    }  # fmt: skip


def _state(
    labels: Mapping[str, str], silences: Sequence[Silence], inhibited: Sequence[str | None], at: datetime
) -> dict[str, Any]:
    by = silenced_by(silences, labels, at)
    silenced = [] if by is None else [by]
    state = "suppressed" if silenced or inhibited else "active"
    return {
        "updatedAt": at,
        "endsAt": at + GOES_ON,
        "status": {"state": state, "silencedBy": silenced, "inhibitedBy": inhibited},
    }
