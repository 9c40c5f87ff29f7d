"""What is to blame, and whether it is time to act: an explanation as scopes that hosts can be told, in sentences that people can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from plugwarden.contract import OVERFLOW, Scope, name_fault

from plugwarden_collector.decide.word import WORD, Word
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import percent
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.causes import CLEAR_NATS, ONE_FAULT_NATS, Fault, Sample
from plugwarden_collector.judge.causes.error_kinds import ErrorKind, leading_kind
from plugwarden_collector.judge.sli import indicator_of
from plugwarden_collector.judge.watch import COMPANY_NATS, RECENT
from plugwarden_collector.judge.ways_back import WaysBack
from plugwarden_collector.rules.objective import Objective

from .excuses import Excuses, is_slowness
from .forecast import called_in, cost
from .impact import Called, Impact
from .lately import LOOKS, NEWEST, Lately
from .neighbours import SOONER, Neighbours, is_place
from .outage import EVERYWHERE, fails_everywhere
from .tick import Tick
from .trouble import BEFORE_SECONDS, Trouble, part_of
from .word import word_of

__all__ = ["Finding", "Wait", "findings_of"]

HARD = 0.9
"""Share of failing calls from which on nothing is gained by waiting: next to nothing works any more."""
SECOND_LOOK = timedelta(seconds=0.2)
"""Even then others have their chance to report: what fails first gathers for so long in each sidecar before it is told."""
OPERATION_LOOK = timedelta(seconds=0.5)
"""What fails in one operation alone may be what was called first: sidecars tell of failures within half a second."""
SOFT_LOOK = timedelta(seconds=3)
"""What fails in part must go on for longer than a hiccup: breakers in the hosts deal with that."""
PLACE_LOOK = timedelta(seconds=2)
"""What fails in one place alone may be the place's fault: others that run there have time to show it."""
PLACE_DOUBT = timedelta(seconds=10)
"""So long it is waited for where others have begun to fail in the same place, a little: by then they have shown it, or they are well."""
LONG_PLACE_DOUBT = timedelta(seconds=60)
"""Longer where they do beyond doubt and still, with calls too few to be told one by one."""
DOUBT_CHANCE = 0.05
"""Chance of as many of the others' bad calls in the place, if they fell where the calls do, below which they begin to fail there."""
LONG_DOUBT_CHANCE = 1e-4
"""The chance below which that is beyond doubt."""
STILL_CHANCE = 0.1
"""The chance in the last seconds below which that goes on: two bad calls in a place that three in ten calls come to."""
STILL = timedelta(seconds=5)
"""So far back others' bad calls say that it goes on."""
NEWCOMER_AGE = 3
"""Times the grace for which a version counts as new: for so long one that stumbled may have its breakers open, and be well by now."""
OUTWARD_LOOK = timedelta(seconds=6)
"""Errors that point at something else than the plugin: others that wait for the same have time to fail as well."""
OUTWARD_DOUBT = timedelta(seconds=12)
"""Longer where others have a little against them since the same time: they are called less often, and have shown it by then."""
APART_LOOK = timedelta(seconds=12)
"""So long it is waited for where two faults may be one: each of them by itself has enough evidence by then, or it is one."""
SLOW_LOOK = timedelta(seconds=5)
"""What is slow is often slow for a moment, with its host: sidecars tell of it every five seconds, so this is a second look."""
SLOW_RECENT = timedelta(seconds=6)
"""Slow calls come with what sidecars send every five seconds."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Why it is not yet time to act."""

    why: str
    until: datetime | None = None
    """When that is over though nothing arrives; None where only what arrives can end it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One scope that is to blame for calls that are bad by one objective."""

    objective: Objective
    scope: Scope
    fault: Fault
    reason: str
    """In at most four sentences."""
    waits_for: Wait | None
    """None when it is time to act."""
    detail: Mapping[str, Any]
    """What was known, for the decision."""
    word: Word
    """On whose word."""
    previous: frozenset[str] = frozenset()
    """Versions that hosts still have to go back to: they are no newcomers when they are called again."""

    def evidence(self, tick: Tick) -> dict[str, Any]:
        """Return all that is kept with a decision; asks for traces, so it is called once for each."""
        since = self.fault.since - timedelta(minutes=1)
        versions = [self.scope.version] if self.scope.version is not None else sorted(
            version for plugin, version in tick.seen.versions if plugin == self.scope.plugin
        )[:3]  # fmt: skip
        found = [
            trace.trace_id
            for version in versions
            for trace in tick.evidence.traces(self.scope.plugin, version, since, tick.at + timedelta(minutes=1))
        ]
        return {**self.detail, "traces": found}


def findings_of(tick: Tick, troubles: Sequence[Trouble], excuses: Excuses) -> list[Finding]:
    """Return what is to blame, the strongest first; `excuses` names plugins that an open incident still speaks for."""
    neighbours = Neighbours(tick)
    about = [
        (trouble, fault, scope, _waits_for(tick, trouble, fault, scope, excuses, neighbours))
        for trouble in troubles
        for fault in trouble.explanation.faults
        for scope in _scopes(fault)
    ]
    lately = Lately(tick, (scope.plugin for _, _, scope, waits_for in about if waits_for is None))
    suspected = [fault for trouble in troubles for fault in trouble.explanation.faults]
    found = []
    for trouble, fault, scope, waits_for in about:
        if waits_for is None:
            past_grace = _past_grace(tick, trouble.objective, scope)
            looks = LOOKS if past_grace is None else [back for back in NEWEST if back <= past_grace + NEWEST[0]]
            fails = lately.fails(trouble.objective, fault, scope, looks)
            if fails is False:
                waits_for = Wait("it fails no more than it may in the last seconds")
            elif (
                fails is None and past_grace is not None and lately.may_be_well(trouble.objective, fault, scope, looks)
            ):
                waits_for = Wait("the version is new, and its last calls leave it open whether it still fails")
        found.append(_finding(tick, trouble, suspected, fault, scope, waits_for))
    return sorted(found, key=lambda item: -item.fault.weight)


def _scopes(fault: Fault) -> list[Scope]:
    """Return what hosts can be told: machines and services are named by their processes."""
    said = dict(fault.scope.conditions)
    # Of an operation without a name no host can be told, so that its fault is the version's; a tenant without one is everybody else.
    version, operation, tenant = said.get("version"), said.get("operation") or None, said.get("tenant")
    instances: tuple[str | None, ...] = (said.get("instance"),)
    if "machine" in said or fault.without or ("service" in said and "instance" not in said):
        instances = tuple(sorted(fault.instances)) or (None,)
    found = []
    for instance in instances:
        scope = Scope(fault.scope.plugin, version, operation, instance, tenant)
        named = {part: name for part, name in scope.as_dict().items() if name is not None}
        if not any(name in {"", OVERFLOW} or name_fault(part, name) is not None for part, name in named.items()):
            found.append(scope)
    return found


def _finding(
    tick: Tick, trouble: Trouble, suspected: Sequence[Fault], fault: Fault, scope: Scope, waits_for: Wait | None
) -> Finding:
    objective, plugin = trouble.objective, fault.scope.plugin
    why = indicator_of(objective).why()
    span = max((tick.at - fault.since).total_seconds(), 1.0)
    tolerated = fault.expected / fault.total if fault.total else 0.0
    sentences = [
        f"{fault.bad} of {fault.total} {why} in {_where(fault)} within {duration(span)}; up to {percent(tolerated)} is tolerated."
    ]
    if fault.errors and fault.bad:
        error, calls = fault.errors[0]
        sentences.append(f"{percent(min(1.0, calls / fault.bad))} of them are {error}.")
    mine = [sample for sample in trouble.samples if sample.plugin == plugin]
    total, bad = sum(item.total for item in mine) - fault.total, sum(item.bad for item in mine) - fault.bad
    elsewhere = (
        f"Elsewhere {plugin} fails in {max(bad, 0)} of {total}."
        if total > 0
        else f"No other part of {plugin} is called."
    )
    if total > 0:
        sentences.append(elsewhere)
    # Nobody is asked before it is time to act: until then each look would ask again.
    acting = waits_for is None and scope.version is not None
    seen = {version for name, version in tick.standing.versions if name == plugin}
    ways = WaysBack(tick.evidence.ways_back(plugin, tick.at) if acting else (), seen)
    previous: frozenset[str] = frozenset()
    if scope.version is not None:
        previous = ways.before(scope.version, _calling(trouble, plugin, scope.version))
    cost = _cost(tick, trouble, suspected, fault, scope, ways)
    if cost is not None:
        sentences.append(str(cost))
    enough = tick.rules.policy.enough_nats(scope.plugin)
    word = word_of(tick, trouble, fault, scope)
    detail = {
        "objective": objective.name,
        "sli": objective.sli.value,
        "target_ratio": objective.target_ratio,
        "since": fault.since,
        "total": fault.total,
        "bad": fault.bad,
        "failed_ratio": fault.bad / fault.total if fault.total else 0.0,
        "tolerated_ratio": tolerated,
        "nats": round(fault.weight, 1),
        "enough_nats": round(enough, 1),
        "conditions": dict(fault.scope.conditions),
        "without": fault.without,
        "beside": fault.beside,
        EVERYWHERE: fails_everywhere(trouble, fault),
        "known": fault.known,
        WORD: word.as_dict(),
        "scope": elsewhere,
        "errors": dict(fault.errors),
        "alternatives": [
            {"scope": str(item.scope), "bad": item.bad, "total": item.total, "nats": round(item.weight, 1)}
            for item in fault.alternatives
        ],
        "running_plugins": tick.seen.running,
        "impact": None if cost is None else cost.as_dict(),
    }
    return Finding(objective, scope, fault, " ".join(sentences), waits_for, detail, word, previous)


def _where(fault: Fault) -> str:
    return f"{fault.scope} in all processes but {fault.without}" if fault.without else str(fault.scope)


def _calling(trouble: Trouble, plugin: str, version: str) -> set[tuple[str, str]]:
    """Return the processes and operations that call a version."""
    parts: list[Cell | Sample] = [*trouble.before, *trouble.samples]
    return {(part.instance, part.operation) for part in parts if (part.plugin, part.version) == (plugin, version)}


def _cost(
    tick: Tick, trouble: Trouble, suspected: Sequence[Fault], fault: Fault, scope: Scope, ways: WaysBack
) -> Impact | None:
    """Return the forecast: from the seconds before the trouble, or since the version is there, where that is no longer."""

    def suspects(part: Scope) -> bool:
        said = part.as_dict()
        return any(
            other.scope.plugin == scope.plugin
            and all(said.get(name, value) == value for name, value in other.scope.conditions)
            for other in suspected
        )

    called, quarantines = called_in(scope, trouble.before), tick.standing.quarantines.values()
    first_at = None if scope.version is None else tick.standing.versions.get((scope.plugin, scope.version))
    if first_at is None or fault.since - first_at >= timedelta(seconds=BEFORE_SECONDS):
        return cost(scope, called, BEFORE_SECONDS, ways, quarantines, suspects)
    conditions = fault.scope.conditions
    called += [
        Called(sample.instance, sample.tenant, sample.total, sample.operation)
        for sample in trouble.samples
        if sample.plugin == scope.plugin and all(getattr(sample, part) == value for part, value in conditions)
    ]
    return cost(scope, called, (tick.at - first_at).total_seconds(), ways, quarantines, suspects)


def _waits_for(
    tick: Tick, trouble: Trouble, fault: Fault, scope: Scope, excuses: Excuses, neighbours: Neighbours
) -> Wait | None:
    """Return why it is not yet time to act on a fault; None when it is."""
    objective, policy, passed = trouble.objective, tick.rules.policy, tick.at - fault.since
    if fault.weight < policy.enough_nats(scope.plugin):
        return Wait("there is too little evidence")
    excuse = next(excuses.of(scope.plugin, fault.beside, slow=is_slowness(objective, dict(fault.errors))), None)
    if excuse is not None:
        return Wait(excuse.why)
    if scope.version is not None:
        first_at = tick.standing.versions.get((scope.plugin, scope.version))
        grace = timedelta(seconds=policy.newcomer_grace_seconds)
        if first_at is not None and tick.at - first_at < grace:
            return Wait("the version has only just begun", first_at + grace)

    def look(why: str, wait: timedelta) -> Wait:
        return Wait(why, fault.since + wait)

    patience = _patience(objective, fault)
    if passed < patience:
        return look("others may begin to fail as well, or it may pass", patience)
    if passed < OUTWARD_LOOK and any(_concerns(fault, sample) for sample in trouble.unheard):
        return look("other processes have not told yet how they fare", OUTWARD_LOOK)
    if passed < OUTWARD_DOUBT and _is_outward(fault) and _others_began(tick, trouble, fault):
        return look("others begin to fail as well, and its errors point at something that they share", OUTWARD_DOUBT)
    if fault.margin < CLEAR_NATS and passed < OUTWARD_LOOK:
        return look("it is not clear yet how far it reaches", OUTWARD_LOOK)
    if -fault.apart < ONE_FAULT_NATS and passed < APART_LOOK:
        return look("it may be several faults", APART_LOOK)
    if not _lately(tick, objective, fault, scope):
        return Wait("nothing failed in the last seconds")
    if is_place(fault) and _others_fail_there(tick, trouble, fault, neighbours):
        doubt = PLACE_DOUBT if passed < PLACE_DOUBT else LONG_PLACE_DOUBT
        return look("others begin to fail in the same place", doubt)
    return None


def _is_outward(fault: Fault) -> bool:
    return leading_kind(dict(fault.errors)) is ErrorKind.OUTWARD


def _others_began(tick: Tick, trouble: Trouble, fault: Fault) -> bool:
    """Whether another plugin that nothing explains yet has a few errors that point outward, too, and began when a fault did."""
    told = {fault.scope.plugin, *trouble.blamed}
    errors: dict[str, Counter[str]] = {}
    for sample in trouble.samples:
        errors.setdefault(sample.plugin, Counter()).update(sample.errors)
    alike = {plugin for plugin, found in errors.items() if leading_kind(found) is ErrorKind.OUTWARD}
    return any(
        key.objective == trouble.objective.name
        and key.plugin in alike - told
        and item.nats >= COMPANY_NATS
        and abs(item.lead.since - fault.since) <= OUTWARD_LOOK
        for key, item in tick.watch.streams.items()
    )


def _others_fail_there(tick: Tick, trouble: Trouble, fault: Fault, neighbours: Neighbours) -> bool:
    passed = tick.at - fault.since
    if passed >= LONG_PLACE_DOUBT:
        return False
    chance = neighbours.chance_there(trouble, fault, fault.since - SOONER)
    if passed < PLACE_DOUBT:
        return chance < DOUBT_CHANCE
    return chance < LONG_DOUBT_CHANCE and neighbours.chance_there(trouble, fault, tick.at - STILL) < STILL_CHANCE


def _past_grace(tick: Tick, objective: Objective, scope: Scope) -> timedelta | None:
    """Return how long the grace of a version is over that may have stumbled while it started; None for one that is no longer new."""
    first_at = None if scope.version is None else tick.standing.versions.get((scope.plugin, scope.version))
    if objective.threshold_index is not None or first_at is None:
        return None
    grace = timedelta(seconds=tick.rules.policy.newcomer_grace_seconds)
    passed = tick.at - first_at
    return passed - grace if passed < NEWCOMER_AGE * grace else None


def _concerns(fault: Fault, sample: Sample) -> bool:
    """Whether a part that has not told may be within a fault, or show that it is narrower."""
    wanted = dict(fault.scope.conditions)
    return (
        sample.plugin == fault.scope.plugin
        and not {"instance", "machine", "service"} & wanted.keys()
        and all(getattr(sample, part) == value for part, value in wanted.items())
    )


def _patience(objective: Objective, fault: Fault) -> timedelta:
    if objective.threshold_index is not None:
        return SLOW_LOOK
    if _is_outward(fault):
        return OUTWARD_LOOK
    if is_place(fault):
        return PLACE_LOOK
    if not fault.total or fault.bad / fault.total < HARD:
        return SOFT_LOOK
    return OPERATION_LOOK if fault.scope.operation is not None else SECOND_LOOK


def _lately(tick: Tick, objective: Objective, fault: Fault, scope: Scope) -> bool:
    """Whether calls in a scope were bad in the last seconds: what is over by itself needs nobody."""
    if objective.threshold_index is None:
        return any(part_of(fault, scope, cell) for cell in tick.watch.recent_cells())
    since: datetime = tick.at - max(SLOW_RECENT, RECENT)
    return any(
        key.objective == objective.name
        and key.plugin == scope.plugin
        and scope.version in {None, key.version}
        and scope.operation in {None, key.operation}
        and item.bad_at >= since
        for key, item in tick.watch.streams.items()
    )
