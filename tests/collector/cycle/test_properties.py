"""What holds whatever arrives and whatever people do: random fleets, played through the real tick."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden.contract import Scope
from plugwarden_collector.announce.subject import subjects_of
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.cycle import evaluate
from plugwarden_collector.decide.acts import freeze, isolate, release
from plugwarden_collector.decide.guard import Fleet as Guarded
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.wider import covers
from plugwarden_collector.decide.word import MANY, Word, word_in
from plugwarden_collector.errors import ConflictError
from plugwarden_collector.judge.evidence import Suspicion, update
from plugwarden_collector.judge.kept_watch import kept, resumed
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.support.played_fleet import AT, Fleet, rules_with

ANN = Actor("ann")
KNOWN = ["p0", "p1", "p2", "p3", "p4"]
GHOSTS = ["g0", "g1", "g2"]
"""Named by one sender alone, without a past."""
SECONDS = 8
"""How long each turn lasts, at most: long enough to isolate in."""

TROUBLE = st.tuples(st.sampled_from([*KNOWN, *GHOSTS]), st.sampled_from(["1", "2"]), st.sampled_from([0.2, 1.0, 1.0]))
ACT = st.sampled_from(["", "", "", "", "isolate", "release", "freeze", "thaw"])
TURN = st.fixed_dictionaries(
    {
        "troubles": st.lists(TROUBLE, max_size=3, unique_by=lambda item: item[:2]),
        "act": ACT,
        "whom": st.sampled_from(KNOWN),
        "seconds": st.sampled_from([2, SECONDS, SECONDS]),
        "after": st.sampled_from([0, 0, 90, 4_000]),
    }
)
TURNS = st.lists(TURN, min_size=1, max_size=5)


@dataclass(slots=True)
class Played:
    """A fleet with random troubles, and what people did."""

    fleet: Fleet
    failing: dict[tuple[str, str], float] = field(default_factory=dict)

    def calls(self) -> None:
        """Half a second of calls."""
        for plugin in (*KNOWN, *GHOSTS):
            for version in ("1", "2"):
                bad = round(20 * self.failing.get((plugin, version), 0.0))
                if plugin in KNOWN:
                    self.fleet.arrive(plugin, version, 20, bad, error=f"{plugin}Error")
                elif bad:
                    self.fleet.arrive(plugin, version, 20, bad, on=("h1",), error=f"{plugin}Error")

    def act(self, kind: str, plugin: str) -> None:
        """A person does something, where there is anything to do."""
        fleet, scope = self.fleet, Scope(plugin)
        if kind == "isolate":
            try:
                fleet.act(isolate(fleet.standing, scope, "because", ANN, fleet.at))
            except ConflictError:
                pass
        elif kind == "release":
            for item in fleet.open_ones():
                if item.scope.plugin == plugin:
                    fleet.act(release(fleet.standing, item.id, "because", ANN, fleet.at))
        elif kind:
            fleet.act(freeze(fleet.standing, kind == "freeze", "because", ANN, fleet.at))

    def turn(self, turn: dict[str, Any]) -> None:
        """Play one turn."""
        self.fleet.at += timedelta(seconds=turn["after"])
        self.failing = {(plugin, version): ratio for plugin, version, ratio in turn["troubles"]}
        self.act(turn["act"], turn["whom"])
        for _ in range(turn["seconds"]):
            self.calls()
            self.fleet.tick(0.5)
            self.calls()
            self.fleet.tick(0.5)


def played(**policy: Any) -> Played:
    fleet = Fleet(rules_with(**policy), running=10)
    for plugin in KNOWN:
        for version in ("1", "2"):
            fleet.has_past(plugin, version)
    return Played(fleet)


def held(items: Sequence[Quarantine], of: Callable[[Word], bool]) -> set[str]:
    """Return plugins of which the automation holds something, on such a word."""
    mine = [item for item in items if item.in_force and item.actor == AUTOMATION and item.superseded_by is None]
    return {item.scope.plugin for item in mine if of(word_in(item.evidence))}


@given(TURNS, st.sampled_from([0.1, 0.2]))
@settings(deadline=None, max_examples=12)
def test_the_quarantined_share_never_passes_its_bound(turns: list[dict[str, Any]], bound: float) -> None:
    """Nothing is isolated beyond the bound; what is not asked for by anybody holds no place, so only what is counts."""
    story = played(max_quarantined_ratio=bound, max_actions_per_hour=100)
    fleet = story.fleet
    most = max(1, math.floor(bound * fleet.running))
    for turn in turns:
        story.turn({**turn, "after": 0})
        called = {key for key, at in fleet.called_at.items() if fleet.at - at <= timedelta(minutes=1)}
        counted = Guarded(fleet.running, [], [], called=called)
        items = [item for item in fleet.standing.quarantines.values() if counted.holds_place(item)]
        assert len(held(items, lambda word: word == MANY)) <= most
        assert len(held(items, lambda word: word.young)) <= most
        assert len(held(items, lambda word: word.process is not None)) <= 2 * most
        for process in {word_in(item.evidence).process for item in items} - {None}:
            assert len(held(items, lambda word, process=process: word.process == process)) <= most


@given(TURNS)
@settings(deadline=None, max_examples=12)
def test_a_persons_word_stands(turns: list[dict[str, Any]]) -> None:
    story = played(max_quarantined_ratio=1.0, max_actions_per_hour=100, human_override_seconds=600)
    fleet = story.fleet
    for turn in turns:
        frozen = fleet.standing.frozen is not None
        story.turn(turn)
        frozen = frozen and fleet.standing.frozen is not None
        for item in fleet.standing.quarantines.values():
            if item.actor != AUTOMATION and item.ended_at is not None:
                assert "released_by" in item.evidence, "what a person isolated, only a person releases"
            if item.actor == AUTOMATION and item.in_force:
                overriding = [
                    other
                    for other in fleet.standing.quarantines.values()
                    if "released_by" in other.evidence
                    and other.ended_at is not None
                    and item.scope.plugin == other.scope.plugin
                    and (None in {item.scope.version, other.scope.version} or item.scope.version == other.scope.version)
                    and other.ended_at <= item.started_at < other.ended_at + timedelta(seconds=600)
                    and item.successor_of is None
                ]
                assert overriding == [], "what a person released is left alone"
            if frozen and item.in_force and item.actor == AUTOMATION:
                assert fleet.at - item.started_at >= timedelta(seconds=turn["seconds"]), "nothing new while frozen"
        for item in fleet.in_force():
            if item.actor != AUTOMATION:
                assert item.scope in fleet.isolated
                inner = {scope for scope in fleet.told if covers(item.scope, scope) and scope != item.scope}
                assert inner == set(), "no probation of the automation's within what a person isolated"


@given(TURNS)
@settings(deadline=None, max_examples=12)
def test_revisions_only_grow(turns: list[dict[str, Any]]) -> None:
    story = played(max_quarantined_ratio=0.3)
    revisions, sets = [0], []
    for turn in turns:
        for _ in range(4):
            story.turn({**turn, "seconds": 2})
            turn = {**turn, "act": "", "after": 0}
            revisions.append(story.fleet.standing.directives.revision)
            sets.append((revisions[-1], story.fleet.standing.directives.directives))
    assert revisions == sorted(revisions)
    assert len({number for number, _ in sets}) == len(set(sets)), "a revision says one thing"


@given(TURNS, st.data())
@settings(deadline=None, max_examples=10)
def test_a_replay_decides_what_was_decided_also_where_it_was_stopped_in_between(
    turns: list[dict[str, Any]], data: st.DataObject
) -> None:
    live = played(max_quarantined_ratio=0.3)
    fleet = live.fleet
    for turn in turns:
        live.act(turn["act"], turn["whom"])
        live.failing = {(plugin, version): ratio for plugin, version, ratio in turn["troubles"]}
        for _ in range(2 * turn["seconds"]):
            fleet.at += timedelta(seconds=0.5)
            live.calls()
            standing, watch, seen = fleet.standing, fleet.watch, fleet.seen()
            changes = fleet.tick()
            again = evaluate(fleet.rules, standing, watch, seen, fleet.calls, lambda: 0.0)
            assert again == (fleet.standing, fleet.watch, changes)
            if data.draw(st.integers(0, 5)) == 0:
                back = resumed(kept(watch))
                assert back is not None
                # Cells of the last seconds, open breakers and what waits are not kept; they are told anew within seconds.
                whole = replace(back, recent=watch.recent, refusing=watch.refusing, waiting=watch.waiting)
                after = evaluate(fleet.rules, standing, whole, seen, fleet.calls, lambda: 0.0)
                assert after == (fleet.standing, fleet.watch, changes)


@pytest.mark.parametrize("level", [2.0, 3.0, 5.0])
def test_evidence_of_a_stream_at_what_is_tolerated_passes_a_level_no_more_often_than_promised(level: float) -> None:
    """An e-detector's mean time to a false alarm at e^h is e^h looks at least: of n looks, no more than n/e^h end in one."""
    chance = random.Random(12)
    streams, looks, tolerated, alarms = 100, 400, 0.05, 0
    for _ in range(streams):
        found: Suspicion | None = None
        for second in range(looks):
            total = chance.choice((1, 3, 8))
            bad = sum(chance.random() < tolerated for _ in range(total))
            found = update(found, total, bad, tolerated, AT + timedelta(seconds=second), second)
            if found is not None and found.nats >= level:
                alarms, found = alarms + 1, None  # the detector begins anew
    promised = streams * looks / math.exp(level)
    assert alarms <= promised + 3 * math.sqrt(promised)


@given(TURNS, st.sampled_from(list(Enforcement)))
@settings(deadline=None, max_examples=12)
def test_nothing_is_isolated_or_fails_hard_for_long_and_nobody_is_told(
    turns: list[dict[str, Any]], how: Enforcement
) -> None:
    story = played(enforcement=how, max_actions_per_hour=2)
    fleet = story.fleet
    for turn in turns:
        story.turn(turn)
        told = subjects_of(fleet.standing)
        keys = {item.key for item in told}
        for item in fleet.in_force():
            successor = item.successor_of is not None and not item.repeats
            assert item.id in keys or item.superseded_by is not None or successor, item
        if how is Enforcement.OBSERVE or turn["seconds"] < SECONDS:
            continue
        for (plugin, version), ratio in story.failing.items():
            if plugin not in KNOWN or ratio < 1.0:
                continue
            named = [item for item in told if item.labels.get("plugin") == plugin]
            shared = [item for item in fleet.standing.incidents.values() if plugin in item.plugins]
            declined = [
                item
                for item in fleet.standing.quarantines.values()
                if item.scope.plugin == plugin and "released_by" in item.evidence
            ]
            by_probe = [item for item in fleet.open_ones() if item.scope.plugin == plugin]
            assert named or shared or declined or by_probe, f"{plugin}@{version} fails and nobody is told"
