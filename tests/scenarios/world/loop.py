"""The closed loop: hosts call and send, the real `evaluate` decides, hosts obey. Time is a number."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plugwarden.contract import Scope
from plugwarden_collector.announce.subject import Subject, subjects_of
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.cycle import evaluate
from plugwarden_collector.cycle.directives import next_set
from plugwarden_collector.cycle.replay import replay
from plugwarden_collector.decide import noted
from plugwarden_collector.decide.acts import Acted, freeze, isolate, release, silence
from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.durations import duration
from plugwarden_collector.errors import ConflictError
from plugwarden_collector.judge.kept_watch import kept
from plugwarden_collector.judge.kept_watch import resumed as resumed_watch
from plugwarden_collector.judge.watch import Watch
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.upstream_keys import EVERY_SECONDS
from plugwarden_collector.watch.alarms import bring_forward
from plugwarden_collector.watch.kept import Kept
from plugwarden_collector.watch.upstream import burning, sizes_of

from tests.collector.support.logged import entry_of

from .fleet import STEP_SECONDS, Fleet, Harm
from .layout import Layout
from .observed import observation
from .store import Store
from .world import Event, World

__all__ = ["Moment", "Run", "run"]

PERSON = Actor("ann")
TICK_SECONDS = 1.0
"""Seconds between ticks while no data arrive (`control.live.TICK_SECONDS`)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where things stood from one moment on, until the next."""

    at: float
    isolated: tuple[Quarantine, ...]
    """What the automation holds: isolated, or let through in part after it was."""
    by_people: tuple[Quarantine, ...]
    incidents: tuple[Incident, ...]
    subjects: tuple[Subject, ...]
    """What people are told of."""


@dataclass(slots=True)
class Run:
    """What came of a world."""

    world: World
    rules_name: str
    layout: Layout
    moments: list[Moment] = field(default_factory=list)
    """One for each change."""
    account: list[tuple[float, str]] = field(default_factory=list)
    """What happened, in the order of time."""
    said: list[tuple[float, str, str]] = field(default_factory=list)
    """(when, kind, scope) of each decision."""
    unlike: list[tuple[float, str]] = field(default_factory=list)
    """(when, which decision and why) of each that does not come out again from what its entry keeps."""
    harm: Harm = field(default_factory=Harm)
    running: list[tuple[float, frozenset[int]]] = field(default_factory=list)
    """(since when, cells that are called)."""
    answered: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """(cell, the one that answered or -1) -> calls that a directive refused to the first."""
    ticks: int = 0

    def note(self, at: float, text: str) -> None:
        """Add a line to the account."""
        self.account.append((at, text))


def run(world: World, rules_name: str, *, breakers: bool = True) -> Run:
    """Live through a world under one set of rules."""
    rules, layout = world.rules_of(rules_name), Layout(world)
    fleet, store, found = Fleet(world, layout, breakers=breakers), Store(world, layout), Run(world, rules_name, layout)
    standing, watch, chance = Standing(), Watch(), random.Random(world.seed)
    standing.versions = dict(store.versions)
    events = sorted(world.events, key=lambda event: event.at)
    _announce(found)
    last, away, looked = -TICK_SECONDS, 0.0, 0.0
    remembered: dict[str, dict[str, Kept]] = {}
    for step in range(round(world.seconds / STEP_SECONDS)):
        now = step * STEP_SECONDS
        while events and events[0].at <= now:
            event = events.pop(0)
            standing, away = _follow(event, standing, rules, store, fleet, found, step, away)
            if event.kind == "restart":
                watch = resumed_watch(kept(watch)) or Watch()
        for item in fleet.live(step):
            store.take(item, now + STEP_SECONDS)
        now += STEP_SECONDS
        if now < away or not (store.fresh or now - last >= TICK_SECONDS):
            continue
        last = now
        standing, watch, changes = evaluate(
            rules, standing, watch, observation(store, rules, now), store, chance.random
        )
        found.ticks += 1
        if changes:
            _keep(found, standing, changes, now)
            if changes.directives is not None:
                fleet.order(changes.directives, step)
        if rules.upstreams and now - looked >= EVERY_SECONDS:
            looked, standing = now, _look(standing, rules, store, remembered, found, now)
    found.harm, found.running, found.answered = fleet.harm, fleet.running, fleet.answered
    found.account.sort(key=lambda entry: entry[0])
    return found


def _look(
    standing: Standing, rules: Rules, store: Store, remembered: dict[str, dict[str, Kept]], found: Run, now: float
) -> Standing:
    """Look at the upstreams of the rules, as `control.watching` does."""
    for rule in rules.alerts:
        if rule.upstream is not None:
            counts = store.upstreams(sizes_of(rule, store.at(now)), None, store.at(now))
            kept_of = remembered.get(rule.name, {})
            standing, changes, remembered[rule.name] = bring_forward(
                rule, burning(rule, counts, kept_of, at=store.at(now)), kept_of, standing, store.at(now)
            )
            if changes:
                _keep(found, standing, changes, now)
    return standing


def _follow(
    event: Event, standing: Standing, rules: Rules, store: Store, fleet: Fleet, found: Run, step: int, away: float
) -> tuple[Standing, float]:
    """Let something happen to the collector, or let a person act; the fleet follows its own events."""
    at, acted, now = store.at(event.at), None, event.at
    try:
        acted = _act(event, standing, at)
    except ConflictError as error:
        found.note(now, f"a person was refused: {error}")
    if event.kind == "restart":
        away = now + (event.seconds or 2.0)
        standing = resumed(standing, at, store.at(away))
    elif event.kind == "jump":
        store.leap(event.seconds, now)
    if acted is not None:
        standing, changes = acted
        changes.directives = next_set(standing, rules)
        if changes.directives is not None:
            standing.directives = changes.directives
            fleet.order(changes.directives, step)
        _keep(found, standing, changes, now)
    return standing, away


def resumed(standing: Standing, went: datetime, back: datetime) -> Standing:
    """Where things stand after a restart: as it was stored."""
    fresh = standing.after_pause(back - went)
    fresh.noted = noted.resumed(noted.kept(standing.noted, went), back)
    return fresh


def _act(event: Event, standing: Standing, at: datetime) -> Acted | None:
    if event.kind in {"freeze", "unfreeze"}:
        return freeze(standing, event.kind == "freeze", "a person said so", PERSON, at)
    if event.kind == "isolate":
        return isolate(standing, _scope(event.scope), "a person said so", PERSON, at)
    if event.kind == "silence":
        return silence(standing, equal(event.scope), timedelta(seconds=event.until - event.at), "known", PERSON, at)
    if event.kind == "release":
        wanted = {key: value for key, value in _scope(event.scope).as_dict().items() if value is not None}
        changed: Acted | None = None
        for item in list(standing.quarantines.values()):
            own = item.scope.as_dict()
            if item.in_force and all(own[key] == value for key, value in wanted.items()):
                before = changed[1] if changed else Changes()
                fresh, changes = release(changed[0] if changed else standing, item.id, "a person said so", PERSON, at)
                changes.quarantines[:0] = before.quarantines
                changes.decisions[:0] = before.decisions
                changed = fresh, changes
        return changed
    return None


def _scope(parts: Mapping[str, str]) -> Scope:
    return Scope(**parts)


def _keep(found: Run, standing: Standing, changes: Changes, now: float) -> None:
    """Note what changed, and where things stand now."""
    for draft in changes.decisions:
        found.said.append((now, draft.kind, draft.scope))
        if _rests_on_calls(draft):
            replayed = replay(entry_of(draft))
            if not replayed.same:
                text = f"{draft.kind} {draft.scope} does not come out again: {replayed.problem} {replayed.differences}"
                found.unlike.append((now, text))
        found.note(now, f"{draft.kind} {draft.scope}: {draft.reason[:900]}")
    for event in changes.alert_events:
        if event.after is AlertState.FIRING or event.before is AlertState.FIRING:
            found.note(now, f"alert {event.record.name} {event.record.about} {event.record.severity}: "
                            f"{event.after.value}, {event.reason[:200]}")  # fmt: skip
    held = [item for item in standing.quarantines.values() if item.in_force]
    found.moments.append(
        Moment(
            now,
            tuple(item for item in held if item.actor == AUTOMATION and (item.successor_of is None or item.repeats)),
            tuple(item for item in held if item.actor != AUTOMATION),
            tuple(item for item in standing.incidents.values() if item.ended_at is None),
            tuple(subjects_of(standing)),
        )
    )


def _rests_on_calls(draft: Draft) -> bool:
    """Whether a decision came out of `respond`: people decide by themselves, and a newcomer's probation follows from a rule alone."""
    newcomer = draft.kind == "probation" and (draft.evidence or {}).keys() == {"successor_of"}
    return draft.actor == AUTOMATION and not newcomer


def _announce(found: Run) -> None:
    """Write into the account what the world does."""
    world = found.world
    for trouble in world.troubles:
        shares = (
            (trouble.share, f"fail ({trouble.error}, {trouble.source})"),
            (trouble.slow, "are slow"),
            (trouble.hang, "hang"),
        )
        what = [f"{share:.0%} {word}" for share, word in shares if share]
        found.note(trouble.at, f"WORLD: {trouble.where}: {', '.join(what)}, {trouble.shape}")
        if trouble.until <= world.seconds:
            found.note(trouble.until, f"WORLD: {trouble.where}: over")
    for event in world.events:
        until = f" for {duration(event.until - event.at)}" if event.until <= world.seconds else ""
        found.note(
            event.at,
            f"WORLD: {event.kind} {event.version} {event.where} {event.share:g} {dict(event.scope) or ''}{until}",
        )
    for item in world.forgeries:
        found.note(
            item.at,
            f"WORLD: {item.sender} makes up {item.failed:g} failures of {item.calls:g} calls a second of {len(item.plugins)} plugins",
        )
