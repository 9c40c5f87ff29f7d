"""What there is to tell people right now: alerts that fire, quarantines and suggestions, incidents. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from plugwarden.contract import QuarantineState

from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.labels import labels_of
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.figures import percent
from plugwarden_collector.wording import one_line

__all__ = ["HEALTH", "JUDGING", "Subject", "source_of", "subject_of_alert", "subjects_of"]

JUDGING = "judging"
"""Source of subjects that the judge of plugins reports."""
HEALTH = "health"
"""Source of subjects that the watch over the collector itself reports."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that people must know of for as long as it lasts."""

    key: str
    """Fingerprint of an alert, or id of a quarantine or an incident."""
    labels: Mapping[str, str]
    """What silences match and receivers route by; they stay the same from the first message to the last."""
    summary: str
    """One sentence. When it changes, it is told again."""
    description: str
    started_at: datetime
    """When it began; beginning anew is told anew."""
    speaker: str | None = field(default=None, compare=False)
    """Key of the subject that speaks for it: whoever is told of that one need not be told of this."""
    quiet: bool = field(default=False, compare=False)
    """It is on its way to its end: what was told of it stands, and nothing new is told."""

    @property
    def severity(self) -> str:
        """`page` or `ticket`."""
        return self.labels["severity"]


def source_of(key: str) -> str:
    """Who reports a subject: conditions of the collector are known by their fingerprints."""
    return HEALTH if key.startswith("c-") else JUDGING


def subjects_of(standing: Standing) -> list[Subject]:
    """Everything in a standing that people must know of now."""
    firing = (item for item in standing.alerts.values() if item.alert.state is AlertState.FIRING)
    return [
        *map(subject_of_alert, firing),
        *_known(map(_of_quarantine, standing.quarantines.values())),
        *map(_of_incident, standing.incidents.values()),
    ]


def subject_of_alert(record: AlertRecord) -> Subject:
    """An alert that fires, on a plugin or on the collector itself."""
    alert = record.alert
    return Subject(
        alert.fingerprint,
        record.labels(),
        one_line(record.summary),
        one_line(record.description),
        alert.firing_at or record.changed_at,
        record.inhibited_by,
        alert.quiet_since is not None,
    )


def _known(found: Iterable[Subject | None]) -> Iterable[Subject]:
    return (item for item in found if item is not None)


def _of_quarantine(item: Quarantine) -> Subject | None:
    """A scope that is out of service, or that a person should take out; None while nobody needs to know.

    A version that was admitted on probation was never taken out, and one that a later version has replaced needs nobody.
    """
    if item.ended_at is not None or item.superseded_by is not None:
        return None
    scope, automatic = item.scope, item.actor == AUTOMATION
    where = f"{scope} is quarantined by {item.actor}"
    if item.state is QuarantineState.DEGRADED:
        summary = f"A person should decide: isolate {scope}? {item.reason}"
        description = (
            f"To follow: plugwarden quarantine {scope.plugin}, with what the scope {scope} names, and --reason."
        )
    elif item.state is QuarantineState.PROBATION and item.inconclusive:
        summary = f"A person must decide on {scope}: it has had too few calls in probation to be judged. {item.reason}"
        description = f"{percent(item.share_ratio)} of its calls are let through. To end that: plugwarden release {item.id} --reason."
    elif item.in_force and not (item.state is QuarantineState.PROBATION and item.successor_of and not item.repeats):
        again = f" again, {item.repeats + 1} times by now" if item.repeats else ""
        summary = f"{where}{again}: {item.reason}"
        if item.hold_until is None and item.state is QuarantineState.QUARANTINED:
            description = f"It stays so until a person decides: plugwarden release {item.id} --reason."
        else:
            description = (
                f"Calls are refused until probation shows that it is well, or: plugwarden release {item.id} --reason."
            )
    else:
        return None
    name = "quarantine suggested" if item.state is QuarantineState.DEGRADED else "plugin quarantined"
    labels = labels_of(name, "page" if automatic else "ticket", **scope.as_dict(), quarantine=item.id)
    return Subject(item.id, labels, one_line(summary), one_line(description), item.started_at)


def _of_incident(item: Incident) -> Subject:
    labels = labels_of("shared cause", "page", cause=item.cause, incident=item.id)
    description = f"One incident for people; none of its plugins is quarantined for it: {', '.join(item.plugins)}."
    return Subject(item.id, labels, one_line(item.summary), one_line(description), item.started_at)
