"""What the decisions of one tick rest on, reduced to what can have mattered: kept with them, so that they can be made again.

Kept is what goes into `cycle.response`: the cells and who is unheard of each trouble, waits, paces and probes that were asked for, the
rules, and of where things stood what the guard rails and the excuses look at. What explains is run again, so that its outcome is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from plugwarden.contract import QuarantineState, Scope
from pydantic import TypeAdapter

from plugwarden_collector import __version__
from plugwarden_collector.audit.attachment import Attachment, TooLarge, attach
from plugwarden_collector.audit.entries import FACTS_LEFT_OUT, Draft
from plugwarden_collector.decide.guard import SAME_ACTION
from plugwarden_collector.decide.newcomers import lets_newcomers_in
from plugwarden_collector.decide.noted import NotedKey
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.decide.word import MANY, WORD, word_in
from plugwarden_collector.judge.arrivals import Cell, Past
from plugwarden_collector.judge.causes import Sample
from plugwarden_collector.judge.evidence import Line, Suspicion
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.parts import PartCount, PartKey
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.watch import COMPANY_NATS, StreamKey, Watch
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.objective import FOR_PEOPLE, Objective
from plugwarden_collector.rules.policy import Enforcement, Policy

from .asked import Asked
from .lately import LOOKS
from .neighbours import SOONER, is_place
from .outage import EVERYWHERE
from .tick import Tick
from .trouble import Trouble

__all__ = [
    "FORM",
    "MOST_ROWS",
    "Facts",
    "Held",
    "Looked",
    "Suspected",
    "facts_of",
    "read",
    "rows_of",
    "with_facts",
    "written",
]

FORM = 6
"""Grows when the text, or what its values mean, changes; another form is not read. A test holds the fields of each."""
MOST_ROWS = 10_000
"""Cells and other values that are kept at most: a plugin has some hundreds of cells (`judge.causes.factors`), and an outage of twenty of
them is still below it. With more, an entry says so and cannot be replayed; writing and packing so many takes 25 ms."""
ACTED_WITHIN = timedelta(hours=1)
"""How far back the guard rails count what was isolated."""
DECIDES = (
    "approved_by", "beside", "declined", "errors", EVERYWHERE, "failed_ratio", "inconclusive", "known", "mark", "objective",
    "override_until", "probation_mark", "released_by", SAME_ACTION, "since", "taken_back", WORD,
)  # fmt: skip
"""What deciding reads of the evidence of a quarantine; the rest is for people."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One trouble, as it was looked at (`cycle.trouble.Trouble`)."""

    objective: str
    """Its name; the objectives themselves are among the facts."""
    samples: tuple[Sample, ...]
    """What it was found in."""
    unheard: tuple[Sample, ...]
    """Parts that ran before it began, and had not told since."""
    before: tuple[Cell, ...]
    """What was called in the seconds before it began."""


@dataclass(frozen=True, slots=True)
class Suspected:
    """What spoke against one stream, without what only the next look at it reads (`judge.evidence.Suspicion`)."""

    key: StreamKey
    """The stream."""
    nats: float
    """Logarithm of the e-value."""
    since: datetime
    """When its trouble began."""
    mark: int
    """Arrivals after this one are of it."""
    bad_at: datetime
    """When its last bad call came."""

    @classmethod
    def of(cls, key: StreamKey, item: Suspicion) -> Suspected:
        """Return what is kept of a suspicion."""
        return cls(key, item.nats, item.lead.since, item.lead.mark, item.bad_at)

    def suspicion(self) -> Suspicion:
        """Return the suspicion, as if one alternative alone made up its evidence."""
        return Suspicion((Line(self.nats, self.since, self.mark),), self.bad_at)


@dataclass(frozen=True, slots=True)
class Held:
    """A quarantine or suggestion, without what is for hosts and people alone (`decide.quarantine.Quarantine`)."""

    id: str
    """Its identity, which its decisions name."""
    scope: Scope
    """What is isolated, or suggested to be."""
    state: str
    """Its state, as a word."""
    actor: str
    """`automation`, or the person."""
    enforcement: Enforcement
    """What the policy said when it began."""
    started_at: datetime
    """When it began."""
    changed_at: datetime
    """When its state or its step last changed."""
    step: int
    """Index into the policy's steps of probation."""
    share_ratio: float
    """Share of calls let through."""
    hold_until: datetime | None
    """When probation begins; None: when a person says so."""
    ended_at: datetime | None
    """When it ended; None while it has not."""
    repeats: int
    """How often it was isolated before."""
    superseded_by: str | None
    """A later version that came through probation."""
    successor_of: str | None
    """The quarantine because of which a version is on probation."""
    evidence: dict[str, Any]
    """What deciding reads of its evidence (`DECIDES`)."""
    known_versions: tuple[str, ...] = ()
    """Versions that are no newcomers beside it."""

    @classmethod
    def of(cls, item: Quarantine) -> Held:
        """Return what is kept of a quarantine."""
        said = {key: item.evidence[key] for key in DECIDES if key in item.evidence}
        same = {name: getattr(item, name) for name in _SAME}
        return cls(state=item.state.word, evidence=said, **same)

    def quarantine(self) -> Quarantine:
        """Return the quarantine, as far as it was kept."""
        same = {name: getattr(self, name) for name in _SAME}
        return Quarantine(state=_STATES[self.state], reason="", evidence=self.evidence, **same)


_STATES = {state.word: state for state in QuarantineState}
_SAME = tuple(item.name for item in fields(Held) if item.name not in ("state", "evidence"))


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that one tick decided on."""

    form: int
    """Form of the text (`FORM`)."""
    version: str
    """Version of Plugwarden whose code decided."""
    at: datetime
    """The time of the tick."""
    objectives: tuple[Objective, ...]
    """Objectives of the rules that the automation judges by."""
    policy: Policy
    """The policy of the rules."""
    running: int
    """Plugins with traffic."""
    troubles: tuple[Looked, ...]
    """What was looked at, in the order in which it was found."""
    recent: tuple[Cell, ...]
    """With bad calls that arrived in the last seconds."""
    streams: tuple[Suspected, ...]
    """What was suspected of the plugins in question, and whatever had enough against it to be looked at beside them."""
    mark: int
    """Up to where calls had arrived."""
    marks: tuple[tuple[datetime, int], ...]
    """What had arrived when, in the last seconds."""
    parts: tuple[tuple[PartKey, PartCount], ...]
    """Bad calls of processes and tenants since the first trouble of a place began."""
    usual: tuple[Past, ...]
    """What is usual for what was on probation."""
    versions: tuple[tuple[str, str, datetime], ...]
    """When versions were first seen."""
    called_at: tuple[tuple[str, str, datetime], ...]
    """When what was isolated, or may be now, was last asked for."""
    quarantines: tuple[Held, ...]
    """Those that are open, that the plugins in question had, or that the guard rails count."""
    incidents: tuple[Incident, ...]
    """Shared causes that were known."""
    actions: tuple[datetime, ...]
    """When the automation isolated something lately."""
    frozen: str | None
    """Why the automation was frozen; None where it was not."""
    noted: tuple[tuple[NotedKey, datetime], ...]
    """What was said of a trouble already, and when it was seen last."""
    waits: tuple[tuple[datetime, tuple[Waits, ...]], ...]
    """How waits for downstreams went, by the moment since which that was asked."""
    paces: tuple[tuple[tuple[str, ...], datetime, tuple[Pace, ...]], ...]
    """How long calls took, by the processes and the moment since which that was asked."""
    lately: tuple[tuple[datetime, int, tuple[Cell, ...]], ...]
    """What those did lately that were about to be acted on, by the moment and the mark since which that was asked."""
    probes: tuple[tuple[Scope, datetime, int, tuple[Cell, ...]], ...]
    """What came of calls in a scope on probation, by the moment and the mark since which that was asked."""
    ways: tuple[tuple[str, tuple[WayBack, ...]], ...]
    """To which earlier versions the hosts of a plugin can go back."""
    drawn: tuple[float, ...]
    """Chance, in the order in which it was drawn."""


def facts_of(tick: Tick, troubles: list[Trouble], standing: Standing, watch: Watch, asked: Asked) -> Facts:
    """Return what a tick decided on; `standing` and `watch` are as they were when it began to decide."""
    slow = {sample.plugin for trouble in troubles for sample in trouble.samples}
    concerned = slow | {item.scope.plugin for item in standing.quarantines.values() if item.ended_at is None}
    kept = [item for item in standing.quarantines.values() if _counts(item, slow, tick.at)]
    isolated = {item.scope.plugin for item in kept if item.in_force}
    admitting = {
        item.scope.plugin for item in tick.standing.quarantines.values() if lets_newcomers_in(item, tick.rules.policy)
    }
    return Facts(
        form=FORM,
        version=__version__,
        at=tick.at,
        objectives=tick.rules.isolating,
        policy=tick.rules.policy,
        running=tick.seen.running,
        troubles=tuple(
            Looked(item.objective.name, tuple(item.samples), tuple(item.unheard), tuple(item.before))
            for item in troubles
        ),
        recent=tuple(cell for cell in watch.recent_cells() if cell.plugin in slow),
        streams=tuple(
            Suspected.of(key, item)
            for key, item in watch.streams.items()
            if key.plugin in concerned or item.nats >= COMPANY_NATS
        ),
        mark=watch.mark,
        marks=tuple(item for item in watch.marks if tick.at - item[0] <= max(LOOKS)),
        parts=tuple(_beside_places(watch, troubles)),
        usual=tuple(past for past in tick.seen.usual.values() if past.plugin in isolated),
        versions=tuple(
            (plugin, version, at)
            for (plugin, version), at in tick.standing.versions.items()
            if plugin in slow | admitting
        ),
        called_at=tuple(
            (plugin, version, at) for (plugin, version), at in tick.seen.called_at.items() if plugin in isolated | slow
        ),
        quarantines=tuple(map(Held.of, kept)),
        incidents=tuple(standing.incidents.values()),
        actions=tuple(standing.actions),
        frozen=standing.frozen,
        noted=tuple(standing.noted.items()),
        waits=tuple(
            (since, tuple(item for item in found if item.plugin in slow)) for since, found in asked.waited.items()
        ),
        paces=tuple((instances, since, tuple(found)) for (instances, since), found in asked.paced.items()),
        lately=tuple((since, mark, tuple(found)) for (since, mark), found in asked.arrived.items()),
        probes=tuple((scope, since, mark, tuple(found)) for (scope, since, mark), found in asked.probed.items()),
        ways=tuple((plugin, tuple(found)) for plugin, found in asked.ways.items()),
        drawn=tuple(asked.drawn),
    )


def rows_of(facts: Facts) -> int:
    """Return how many values there are."""
    found = sum(len(item.samples) + len(item.unheard) + len(item.before) for item in facts.troubles)
    found += sum(
        len(rows[-1]) for told in (facts.waits, facts.paces, facts.lately, facts.probes, facts.ways) for rows in told
    )
    return found + sum(
        len(getattr(facts, name))
        for name in (
            "recent",
            "streams",
            "parts",
            "usual",
            "versions",
            "called_at",
            "quarantines",
            "incidents",
            "noted",
        )
    )


def written(facts: Facts) -> str:
    """Return facts as JSON, without what objectives say to people alone."""
    return _adapter().dump_json(facts, exclude={"objectives": {"__all__": set(FOR_PEOPLE)}}).decode()


def with_facts(drafts: Iterable[Draft], facts: Facts) -> list[Draft]:
    """Return decisions of one tick with what they rest on; where that is not kept, with why."""
    found = _attached(facts)
    if isinstance(found, Attachment):
        return [replace(draft, facts=found) for draft in drafts]
    return [replace(draft, evidence={**(draft.evidence or {}), FACTS_LEFT_OUT: str(found)}) for draft in drafts]


def _attached(facts: Facts) -> Attachment | TooLarge | str:
    """Return facts as they are kept, or why they are not: a decision is not held up by what is kept of it."""
    rows = rows_of(facts)
    if rows > MOST_ROWS:
        return TooLarge(rows, MOST_ROWS, "cells and other values")
    try:
        return attach(written(facts))
    except ValueError:
        return "texts that are no Unicode"


def read(text: str) -> Facts:
    """Return the facts of a text. Raises `ValueError` for what is none, or of another form."""
    try:
        raw = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    form, version = (raw.get("form"), raw.get("version")) if isinstance(raw, dict) else (None, None)
    if form != FORM:
        if not isinstance(form, int):
            raise ValueError("it is of no form that any version wrote")
        made = (
            f"{'an earlier' if form < FORM else 'a later'} version ({version}, form {form}; this one reads form {FORM})"
        )
        raise ValueError(f"it was made by {made} and cannot be replayed here")
    return _adapter().validate_json(text)


@cache
def _adapter() -> TypeAdapter[Facts]:
    """Made when it is first needed: most processes that load this never decide."""
    return TypeAdapter(Facts)


def _beside_places(watch: Watch, troubles: Iterable[Trouble]) -> Iterator[tuple[PartKey, PartCount]]:
    began = [fault.since for trouble in troubles for fault in trouble.explanation.faults if is_place(fault)]
    if began:
        oldest = min(began) - SOONER
        yield from ((key, count) for key, count in watch.parts.items() if count.bad_at >= oldest)


def _counts(item: Quarantine, concerned: set[str], at: datetime) -> bool:
    """Whether the guard rails, a person's word or the memory of repeats may ask for it."""
    counted = item.actor == AUTOMATION and word_in(item.evidence) != MANY and at - item.started_at < ACTED_WITHIN
    return item.ended_at is None or item.scope.plugin in concerned or counted
