"""What there is to tell people right now: alerts that fire, quarantines and suggestions, incidents. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from plugwarden.contract import QuarantineState

from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.labels import labels_of
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.silence import SILENCE_ENDS
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.decide.upstream import UPSTREAM, is_upstream, speaker_of
from plugwarden_collector.figures import percent
from plugwarden_collector.wording import one_line

from .evidence import first_trace, sureness, worst_error
from .signs import in_address

__all__ = [
    "HEALTH",
    "JUDGING",
    "SILENCE_NOTICE",
    "Subject",
    "acknowledged",
    "active_at",
    "source_of",
    "subject_of_alert",
    "subject_of_incident",
    "subject_of_quarantine",
    "subjects_of",
]

JUDGING = "judging"
"""Source of subjects that the judge of plugins reports."""
HEALTH = "health"
"""Source of subjects that the watch over the collector itself reports."""
QUARANTINED = "plugin quarantined"
SILENCE_NOTICE = timedelta(minutes=10)
"""How long before its end people are told of a silence that still hides something; of a short one, in its last quarter."""


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
    scope: str = ""
    """Whom it is about, in words."""
    sure: str = ""
    """How sure that is, and on what."""
    error: str = ""
    """The error that carries it."""
    trace: str = ""
    """Id of a trace that shows it."""
    done: str = ""
    """What was done about it, or would be."""
    until: str = ""
    """How long that stays so."""
    todo: str = ""
    """What a person can do."""
    runbook: str = field(default="", compare=False)
    """Address at which the rules say that its runbook is; empty: where they say none, one is made of what is known."""
    path: str = ""
    """Page of the dashboards that shows it, below their address."""
    described: bool = field(default=False, compare=False)
    """Whether its description is that of the rules, in which an address is meant to be one."""
    also: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """Owners and labels that the rules give what it is about: receivers are chosen by them, and nothing else."""
    speaker: str | None = field(default=None, compare=False)
    """Key of the subject that speaks for it: whoever is told of that one need not be told of this."""
    quiet: bool = field(default=False, compare=False)
    """It is on its way to its end: what was told of it stands, and nothing new is told."""

    told_within: tuple[datetime, datetime] | None = field(default=None, compare=False)
    """From when until when people must know of it; None: for as long as it is reported."""
    known_until: datetime | None = field(default=None, compare=False)
    """A person knows of it, and until when: whoever was told is not told again; None: nobody said so."""

    def is_active(self, at: datetime) -> bool:
        """Whether people must know of it now."""
        return self.told_within is None or self.told_within[0] <= at < self.told_within[1]

    @property
    def severity(self) -> str:
        """`page` or `ticket`."""
        return self.labels["severity"]


def source_of(key: str) -> str:
    """Who reports a subject: conditions of the collector are known by their fingerprints."""
    return HEALTH if key.startswith("c-") else JUDGING


def active_at(subjects: Iterable[Subject], at: datetime) -> dict[str, Subject]:
    """Return the subjects that people must know of now, by key."""
    return {item.key: item for item in subjects if item.is_active(at)}


def subjects_of(standing: Standing, said: Iterable[Subject] = (), own: Iterable[Subject] = ()) -> list[Subject]:
    """Return everything in a standing that people must know of now, and what was `said` besides (`announce.said`), with the silences
    that end soon of either or of the collector's `own` conditions, which another source reports."""
    firing = (item for item in standing.alerts.values() if item.alert.state is AlertState.FIRING)
    found = [
        *map(subject_of_alert, firing),
        *_known(map(subject_of_quarantine, standing.quarantines.values())),
        *(subject_of_incident(item, speaker_of(item, standing)) for item in standing.incidents.values()),
    ]
    told = [*found, *said]
    return [*acknowledged(told, standing), *_ending_silences([*told, *own], standing)]


def subject_of_alert(record: AlertRecord) -> Subject:
    """An alert that fires, on a plugin or on the collector itself."""
    alert, upstream = record.alert, record.more[UPSTREAM] if is_upstream(record) else ""
    path = f"plugin?plugin={in_address(record.plugin)}" if record.plugin else "alerts"
    return Subject(
        alert.fingerprint,
        record.labels(),
        one_line(record.summary),
        one_line(record.description),
        alert.firing_at or record.changed_at,
        one_line(record.component or record.about or upstream),
        sureness(record.detail),
        done="Nobody is isolated for it." if upstream else "",
        todo=f"Ask {one_line(record.more.get('owner') or 'who answers for it')}; isolating its plugins does not help."
        if upstream
        else "",
        speaker=record.inhibited_by,
        quiet=alert.quiet_since is not None,
        path="platform" if record.component else path,
        described=record.watched,
    )


def acknowledged(found: Iterable[Subject], standing: Standing) -> list[Subject]:
    """Return subjects with until when a person said that they know of them."""
    known = {item.subject: item for item in standing.acknowledgements}
    return [
        replace(item, known_until=known[item.key].ends_at)
        if item.key in known and known[item.key].covers(item.started_at)
        else item
        for item in found
    ]


def _known(found: Iterable[Subject | None]) -> Iterable[Subject]:
    return (item for item in found if item is not None)


def _ending_silences(found: Iterable[Subject], standing: Standing) -> Iterable[Subject]:
    """Return the notices that silences end soon, each with from when until when it is to be told: what such a silence hides goes on.

    One that is extended gets another notice, and the one before is over.
    """
    subjects = [*found]
    for silence in standing.silences:
        hidden = [item for item in subjects if silence.speaks_of(item.labels)]
        if not hidden:
            continue
        severity = "page" if any(item.severity == "page" for item in hidden) else "ticket"
        labels = labels_of(SILENCE_ENDS, severity, silence=silence.id)
        told_at = silence.ends_at - min(SILENCE_NOTICE, (silence.ends_at - silence.starts_at) / 4)
        who, ends = silence.owner or silence.created_by, f"{silence.ends_at:%Y-%m-%d %H:%M:%S} UTC"
        summary = f"A silence of {who} ends at {ends}, and what it hides goes on: {silence.comment}"
        goes_on = "; ".join(item.summary for item in hidden)
        description = f"To go on: plugwarden silences extend {silence.id} --for 1h --reason. Hidden: {goes_on}"
        key = f"{silence.id}-{silence.ends_at:%Y%m%d%H%M%S}"
        within = told_at, silence.ends_at
        yield Subject(key, labels, one_line(summary), one_line(description), told_at, told_within=within)


def subject_of_quarantine(item: Quarantine) -> Subject | None:
    """A scope that is out of service, or that a person should take out; None while nobody needs to know.

    A suggestion and what it becomes are two subjects, for each has labels of its own.

    A version that was admitted on probation was never taken out, and one that a later version has replaced needs nobody.
    """
    if item.ended_at is not None or item.superseded_by is not None:
        return None
    said = _said_of(item)
    if said is None:
        return None
    name, summary, description = said
    labels = labels_of(
        name, "page" if item.actor == AUTOMATION else "ticket", **item.scope.as_dict(), quarantine=item.id
    )
    done, until, todo = _course_of(item)
    return Subject(
        item.id, labels, one_line(summary), one_line(description), item.started_at, one_line(item.scope), sureness(item.evidence),
        worst_error(item.evidence), first_trace(item.evidence), done, until, todo, path="quarantine",
    )  # fmt: skip


def _said_of(item: Quarantine) -> tuple[str, str, str] | None:
    """Return the name of the alert, and what it says in one sentence and in more."""
    scope, release = item.scope, f"plugwarden release {item.id} --reason"
    if item.state is QuarantineState.DEGRADED:
        follow = f"To follow: plugwarden approve {item.id} --reason. If not: plugwarden decline {item.id} --reason."
        prevented = item.evidence.get("prevented")
        if prevented:
            why = "; ".join(map(str, prevented)) if isinstance(prevented, list | tuple) else str(prevented)
            summary = f"A person should decide: isolate {scope}? The automation may not: {why}. {item.reason}"
            return "quarantine prevented", summary, follow
        return "quarantine suggested", f"A person should decide: isolate {scope}? {item.reason}", follow
    if item.state is QuarantineState.PROBATION and item.inconclusive:
        summary = f"A person must decide on {scope}: it has had too few calls in probation to be judged. {item.reason}"
        return (
            QUARANTINED,
            summary,
            f"{percent(item.share_ratio)} of its calls are let through. To end that: {release}.",
        )
    if not item.in_force or (item.state is QuarantineState.PROBATION and item.successor_of and not item.repeats):
        return None
    again = f" again, {item.repeats + 1} times by now" if item.repeats else ""
    approved = f", approved by {item.evidence['approved_by']}" if "approved_by" in item.evidence else ""
    summary = f"{scope} is quarantined by {item.actor}{approved}{again}: {item.reason}"
    if item.held_by is not None and item.state is QuarantineState.QUARANTINED:
        return QUARANTINED, summary, f"Calls are refused while the pushed alert {item.held_by} fires, or: {release}."
    if item.hold_until is None and item.state is QuarantineState.QUARANTINED:
        return QUARANTINED, summary, f"It stays so until a person decides: {release}."
    return QUARANTINED, summary, f"Calls are refused until probation shows that it is well, or: {release}."


def _course_of(item: Quarantine) -> tuple[str, str, str]:
    """Return what was done, until when that stays so, and what a person can do."""
    end = f"plugwarden release {item.id} --reason …, or the page of quarantines"
    if item.state is QuarantineState.DEGRADED:
        ways = f"plugwarden approve {item.id} --reason …, or plugwarden decline {item.id} --reason …"
        return "Nothing: a person decides.", "a person decides, or nothing speaks for it any more", ways
    if item.state is QuarantineState.PROBATION:
        done = f"{percent(item.share_ratio)} of its calls are let through, and judged."
        return done, "a person decides" if item.inconclusive else "it has passed, or failed again", end
    if item.held_by is not None:
        return (
            "Its calls are refused.",
            f"the pushed alert {one_line(item.held_by)} is over; then it is on probation",
            end,
        )
    if item.hold_until is None:
        return "Its calls are refused.", "a person decides", end
    return "Its calls are refused.", f"{item.hold_until:%Y-%m-%d %H:%M:%S} UTC; then it is on probation", end


def subject_of_incident(item: Incident, speaker: str | None = None) -> Subject:
    """A shared cause that is open; `speaker` is the alert on the upstream that it is."""
    labels = labels_of("shared cause", "page", cause=item.cause, incident=item.id)
    description = f"One incident for people; none of its plugins is quarantined for it: {', '.join(item.plugins)}."
    return Subject(
        item.id, labels, one_line(item.summary), one_line(description), item.started_at, one_line(", ".join(item.plugins)),
        done="Nobody is isolated for it.", until="nothing points at it any more", todo=f"Look at {one_line(item.cause)}.", path="alerts",
        speaker=speaker,
    )  # fmt: skip
