"""What must have come of a world, and what did not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from plugwarden.contract import Scope
from plugwarden_collector.decide.quarantine import Quarantine

from .fleet import OBEYED_SECONDS
from .layout import Layout
from .loop import Moment, Run
from .world import Expected, Selector

__all__ = ["Found", "Verdict", "covered", "judge"]

LATE_SECONDS = 6.0
"""From the end of a fault until its last calls have arrived everywhere: hosts send every five seconds."""
PAST_SECONDS = 60.0
"""What was wrong so lately may still be said."""
TELLING = frozenset(
    {
        "prevented",
        "would_quarantine",
        "suggested",
        "quarantined",
        "requarantined",
        "inconclusive",
        "common_cause",
        "held",
        "warned",
    }
)
"""Kinds of decisions that reach a person."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one fault."""

    fault: Expected
    delay_seconds: float | None
    """From its beginning until all of its calls were refused; None: never within the world."""
    in_time: bool
    exact: bool = True
    """Whether nothing that took a part of it took healthy calls as well."""


@dataclass(slots=True)
class Verdict:
    """What a run is worth."""

    faults: list[Found] = field(default_factory=list)
    """Those that had to be isolated."""
    healthy: list[tuple[float, str]] = field(default_factory=list)
    """(when, scope) of each isolation that took healthy calls."""
    wide: list[tuple[float, str]] = field(default_factory=list)
    """Those among them that took a fault as well."""
    incidents: list[tuple[float, str]] = field(default_factory=list)
    """(when, summary) of each incident that was opened though nothing was wrong."""
    problems: list[str] = field(default_factory=list)
    """A sentence each; empty: all is as it should be."""


def judge(run: Run) -> Verdict:
    """Compare what came of a world with what it says must."""
    verdict, world, layout = Verdict(), run.world, run.layout
    cells = {id(fault): frozenset(layout.where(fault.where).tolist()) for fault in world.faults}
    seen: set[tuple[str, int]] = set()
    too_wide: frozenset[int] = frozenset()
    for moment in run.moments:
        for item in moment.isolated:
            if (item.id, item.repeats) in seen:
                continue
            seen.add((item.id, item.repeats))
            own = covered(layout, item.scope) & _running(run, moment.at)
            # What a sender made up about itself may be refused to it: that hurts nobody.
            bad = frozenset().union(
                *(cells[id(fault)] for fault in world.faults if fault.at <= moment.at <= fault.until + LATE_SECONDS)
            )
            if own - bad:
                verdict.healthy.append((moment.at, str(item.scope)))
                if own & bad:
                    verdict.wide.append((moment.at, str(item.scope)))
                    too_wide |= own
    for fault in world.faults:
        if fault.needed:
            found = _found(run, fault, cells[id(fault)])
            verdict.faults.append(replace(found, exact=not cells[id(fault)] & too_wide))
    for found in verdict.faults:
        if not found.in_time:
            late = "never" if found.delay_seconds is None else f"after {found.delay_seconds:.2f} s"
            limit = found.fault.within[run.rules_name]
            verdict.problems.append(
                f"{found.fault.where} must be isolated within {limit:g} s of {found.fault.at:g} s, and was {late}"
            )
    verdict.problems += [f"at {at:.2f} s {scope} was isolated, healthy calls with it" for at, scope in verdict.healthy]
    verdict.incidents = _false_incidents(run)
    verdict.problems += [
        f"at {at:.2f} s an incident was opened though nothing was wrong: {text}" for at, text in verdict.incidents
    ]
    _expect(run, verdict, world.shared, "one incident must be open for", _is_shared)
    _expect(run, verdict, world.told, "a person must have been told of", _is_told)
    _expect(
        run,
        verdict,
        world.released,
        "must be released:",
        lambda run, item, at: not _held(run, item.where, at, every=False),
        at_end=True,
    )
    _expect(run, verdict, world.states, "wrong state of", _is_so, at_end=True)
    verdict.problems += [problem for item in world.answered if (problem := _unanswered(run, item))]
    verdict.problems += [problem for where in world.unrefused if (problem := _refused(run, where))]
    if world.wrongly is not None and run.harm.wrongly > world.wrongly:
        verdict.problems.append(f"{run.harm.wrongly} calls that no trouble hit were refused; {world.wrongly} may be")
    said = [text for _, text in run.account]
    verdict.problems += [f"no decision says {text!r}" for text in world.says if not any(text in line for line in said)]
    return verdict


def _unanswered(run: Run, item: Expected) -> str:
    """What is wrong with whom answered the calls of a part that directives refused; empty where the wanted version did."""
    places, by = set(run.layout.where(item.where).tolist()), {True: 0, False: 0}
    for (place, answering), calls in run.answered.items():
        if place in places:
            mine = answering >= 0 and run.layout.parts[answering]["version"] == item.by
            by[mine] += calls
    if by[False]:
        return f"{by[False]} refused calls of {item.where} were not answered by version {item.by}"
    return "" if by[True] else f"no call of {item.where} went back to version {item.by}"


def _refused(run: Run, where: Selector) -> str:
    """What directives refused of calls that they must leave alone; empty for nothing."""
    places = set(run.layout.where(where).tolist())
    refused = sum(calls for (place, _), calls in run.answered.items() if place in places)
    return f"{refused} calls of {where} were refused by a directive" if refused else ""


def _false_incidents(run: Run) -> list[tuple[float, str]]:
    opened: dict[str, tuple[float, str]] = {}
    spans = [(item.at, item.until) for item in run.world.troubles] + [
        (item.at, item.until) for item in run.world.forgeries
    ]
    for moment in run.moments:
        wrong = any(begin <= moment.at <= end + PAST_SECONDS for begin, end in spans)
        for incident in moment.incidents:
            if incident.id not in opened:
                opened[incident.id] = moment.at, "" if wrong else incident.summary
    return [(at, text) for at, text in opened.values() if text]


def covered(layout: Layout, scope: Scope) -> frozenset[int]:
    """The places of the cells that a scope takes."""
    wanted = {key: value for key, value in scope.as_dict().items() if value is not None}
    return frozenset(layout.such(lambda part: all(part[key] == value for key, value in wanted.items())).tolist())


def _found(run: Run, fault: Expected, cells: frozenset[int]) -> Found:
    limit = fault.within[run.rules_name]
    for moment in run.moments:
        if moment.at < fault.at or not cells:
            continue
        taken = frozenset().union(*(covered(run.layout, item.scope) for item in moment.isolated))
        wanted = cells & _running(run, moment.at)
        if wanted and wanted <= taken:
            delay = moment.at - fault.at + OBEYED_SECONDS
            return Found(fault, delay, delay <= limit)
    return Found(fault, None, False)


def _expect(
    run: Run,
    verdict: Verdict,
    items: Iterable[Expected],
    words: str,
    test: Callable[[Run, Expected, float], bool],
    *,
    at_end: bool = False,
) -> None:
    """Add a problem for each that did not come true between its beginning and its limit, or is not so at its limit."""
    for item in items:
        until = item.at + item.within.get(run.rules_name, 0.0)
        moments = (
            [until] if at_end else [item.at, *(moment.at for moment in run.moments if item.at <= moment.at <= until)]
        )
        if not any(test(run, item, at) for at in moments):
            verdict.problems.append(f"{words} {item.where} {item.state} by {until:g} s")


def _standing(run: Run, at: float) -> Moment | None:
    """The last moment up to a time."""
    found = None
    for moment in run.moments:
        if moment.at > at:
            break
        found = moment
    return found


def _running(run: Run, at: float) -> frozenset[int]:
    """The cells that are called at a moment."""
    return next((cells for since, cells in reversed(run.running) if since <= at), frozenset())


def _held(run: Run, where: Selector, at: float, *, every: bool) -> bool:
    """Whether all of some calls are isolated, or any, by whomever."""
    moment = _standing(run, at)
    if moment is None:
        return False
    cells = frozenset(run.layout.where(where).tolist())
    taken = _taken(run.layout, (*moment.isolated, *moment.by_people))
    return cells & _running(run, at) <= taken if every else bool(cells & taken)


def _taken(layout: Layout, items: Iterable[Quarantine]) -> frozenset[int]:
    return frozenset().union(*(covered(layout, item.scope) for item in items))


def _is_shared(run: Run, item: Expected, at: float) -> bool:
    moment = _standing(run, at)
    return moment is not None and any(set(item.where.plugin) <= set(found.plugins) for found in moment.incidents)


def _is_told(run: Run, item: Expected, at: float) -> bool:
    """Whether something that people are told of names the plugin: an alert, a quarantine, an incident, a decision."""
    names, moment = item.where.plugin, _standing(run, at)
    said = any(
        kind in TELLING and any(name in scope.replace("@", " ").replace(",", " ").split() for name in names)
        for when, kind, scope in run.said
        if item.at <= when <= at
    )
    if said or moment is None:
        return said
    by_label = any(subject.labels.get("plugin") in names for subject in moment.subjects)
    return by_label or any(set(names) & set(found.plugins) for found in moment.incidents)


def _is_so(run: Run, item: Expected, at: float) -> bool:
    return (
        _held(run, item.where, at, every=True)
        if item.state == "isolated"
        else not _held(run, item.where, at, every=False)
    )
