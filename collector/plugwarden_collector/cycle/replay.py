"""An entry of the decision log made again from what it keeps, by the functions that made it: is the result the same? Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plugwarden_collector import __version__
from plugwarden_collector.audit.actor import LOCAL, RESERVED
from plugwarden_collector.audit.attachment import digest_of
from plugwarden_collector.audit.entries import FACTS, FACTS_LEFT_OUT, Draft, evidence_of
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.quarantine import AUTOMATION
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.arrivals import Arrivals
from plugwarden_collector.judge.causes import explain
from plugwarden_collector.judge.watch import Watch
from plugwarden_collector.rules.file import Rules

from .asked import Remembered
from .facts import Facts, Looked, read
from .findings import Finding
from .response import respond
from .tick import Observation, Tick
from .trouble import Trouble

__all__ = ["Difference", "Replayed", "replay"]

NOT_DECIDING = ("traces", FACTS)
"""Parts of the evidence that are for people, and come from telemetry that may be gone; and the digest of the facts themselves."""
COMPARED = ("kind", "scope", "enforcement", "quarantine_id", "reason")
NOTHING = "nothing"
OURSELVES = tuple(RESERVED - {AUTOMATION, LOCAL})
"""Who writes what only follows from the collector's own upkeep."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A part of an entry that does not come out again."""

    part: str
    """A field of the entry, or `evidence.` and a key."""
    entry: Any
    """Its value in the entry."""
    replay: Any
    """Its value this time."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of an entry that was made again."""

    same: bool | None
    """Whether everything that was decided came out again; None where it cannot be made again."""
    problem: str | None = None
    """Why it cannot, or why nothing was decided this time."""
    decided: Mapping[str, Any] | None = None
    """What was decided this time: kind, scope, reason, evidence and so on; None where nothing was."""
    differences: tuple[Difference, ...] = ()
    """Where what was decided this time differs."""
    decided_by: str | None = None
    """Version of Plugwarden that decided then."""
    replayed_by: str = __version__
    """Version of Plugwarden that decides this time."""


def replay(entry: Mapping[str, Any]) -> Replayed:
    """Run the deciding of an entry again, on nothing but the entry: its fields as the API gives them, `facts` among them."""
    problem = _not_held(entry)
    if problem is not None:
        return Replayed(None, problem)
    try:
        facts = read(entry["facts"])
    except ValueError as error:
        return Replayed(None, f"what it rests on cannot be read: {str(error).splitlines()[0]}")
    try:
        findings, drafts = _decided(facts)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        why = f"this version asks for what that one did not: {type(error).__name__} {error}"
        return Replayed(None, why, decided_by=facts.version)
    found = _counterpart(entry, drafts)
    if found is None:
        differences = (Difference("kind", entry["kind"], NOTHING),)
        return Replayed(False, _why_not(entry, findings), None, differences, facts.version)
    again = {name: getattr(found, name) for name in COMPARED} | {"evidence": json.loads(evidence_of(found))}
    different = tuple(_different(entry, again))
    return Replayed(not different, None, again, different, facts.version)


def _not_held(entry: Mapping[str, Any]) -> str | None:
    """Return why an entry cannot be made again; None where it holds what it rests on."""
    evidence, text = entry["evidence"], entry.get("facts")
    if entry["actor"] in OURSELVES:
        return f"the {entry['actor']} wrote it of itself: it follows from no calls"
    if entry["actor"] != AUTOMATION:
        return f"{entry['actor']} decided it: what people decide is not made again"
    if FACTS_LEFT_OUT in evidence:
        return f"it rests on what an entry does not keep: {evidence[FACTS_LEFT_OUT]}"
    if FACTS not in evidence:
        return "it does not hold what it rests on: it was written before Plugwarden kept that, or follows from no calls"
    if text is None:
        return "what it rests on is not kept any more"
    if digest_of(text) != evidence[FACTS] and entry.get("redacted"):
        return "names in what it rests on were masked when it was exported; replay it where the log is"
    if digest_of(text) != evidence[FACTS]:
        return "what is kept beside it is not what it rested on: its digest is another one"
    return None


def _decided(facts: Facts) -> tuple[list[Finding], list[Draft]]:
    """Return what is to blame and what is decided, by the functions that a tick runs."""
    objectives = {item.name: item for item in facts.objectives}
    remembered = Remembered(
        dict(facts.waits),
        {(instances, since): found for instances, since, found in facts.paces},
        {(since, mark): found for since, mark, found in facts.lately},
        {(scope, since, mark): found for scope, since, mark, found in facts.probes},
        dict(facts.ways),
        facts.drawn,
    )
    tick = Tick(
        Rules(facts.objectives, facts.policy),
        _standing(facts),
        Watch(
            facts.mark,
            {item.key: item.suspicion() for item in facts.streams},
            dict(facts.parts),
            recent=((facts.at, facts.recent),),
            marks=facts.marks,
            at=facts.at,
        ),
        Observation(
            facts.at,
            {},
            running=facts.running,
            called_at={(plugin, version): at for plugin, version, at in facts.called_at},
            arrivals=Arrivals(facts.mark),
            usual={(past.plugin, past.version, past.operation): past for past in facts.usual},
        ),
        remembered,
        remembered.chance,
        Changes(at=facts.at),
    )

    def trouble_of(item: Looked) -> Trouble:
        objective = objectives[item.objective]
        explanation = explain(item.samples, running=facts.running, slow=objective.threshold_index is not None)
        return Trouble(objective, explanation, item.samples, item.unheard, item.before)

    findings = respond(tick, [trouble_of(item) for item in facts.troubles])
    return findings, tick.changes.decisions


def _standing(facts: Facts) -> Standing:
    return Standing(
        quarantines={item.id: item.quarantine() for item in facts.quarantines},
        incidents={item.id: item for item in facts.incidents},
        actions=list(facts.actions),
        versions={(plugin, version): at for plugin, version, at in facts.versions},
        frozen=facts.frozen,
        noted=dict(facts.noted),
    )


def _counterpart(entry: Mapping[str, Any], drafts: Sequence[Draft]) -> Draft | None:
    """Return the decision that is the entry's: the same, or else the one about its scope that is most like it.

    What is only observed or overruled has no identity, and is decided once for each objective.
    """
    objective = entry["evidence"].get("objective")

    def likeness(draft: Draft) -> tuple[bool, ...]:
        return (
            draft.kind == entry["kind"],
            draft.quarantine_id == entry["quarantine_id"],
            (draft.evidence or {}).get("objective") == objective,
            draft.reason == entry["reason"],
        )

    return max((draft for draft in drafts if draft.scope == entry["scope"]), key=likeness, default=None)


def _why_not(entry: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    objective = entry["evidence"].get("objective")
    about = [item for item in findings if str(item.scope) == entry["scope"]]
    mine = [item for item in about if objective in {None, item.objective.name}]
    if not mine:
        return f"nothing is found against {entry['scope']} this time"
    waits_for = mine[0].waits_for
    return (
        "somebody else speaks for it this time"
        if waits_for is None
        else f"it is not time to act this time: {waits_for.why}"
    )


def _different(entry: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[Difference]:
    for name in COMPARED:
        if entry[name] != again[name]:
            yield Difference(name, entry[name], again[name])
    then, now = entry["evidence"], again["evidence"]
    for key in sorted(then.keys() | now.keys()):
        if key not in NOT_DECIDING and then.get(key) != now.get(key):
            yield Difference(f"evidence.{key}", then.get(key), now.get(key))
