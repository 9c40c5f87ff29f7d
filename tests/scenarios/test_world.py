"""The simulated hosts do what real ones do, and a file that is no world says why."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
from plugwarden.contract import Action, Directive, DirectiveSet, Newcomers, Scope
from plugwarden.pipeline import drain
from plugwarden.settings import Settings
from plugwarden_collector.cycle import facts

from tests.scenarios.world import WorldError, parse_world, run
from tests.scenarios.world import fleet as hosts
from tests.scenarios.world.dice import thrown
from tests.scenarios.world.fleet import STEP_SECONDS, Delivery, Fleet
from tests.scenarios.world.layout import Layout

evaluating = sys.modules["plugwarden_collector.cycle.evaluate"]
"""The module, whose name in its room is that of its function."""
HARD = """
title = "a plugin fails every call"
seconds = 40

[fleet]
plugins = 2
norm = 0.0
noise = "steady"
calls_per_second = 30.0

[[trouble]]
plugin = "p0"
share = 1.0
from = 20
"""


def lived(
    text: str, seconds: float, *, breakers: bool = True, said: DirectiveSet | None = None
) -> tuple[Fleet, list[Delivery]]:
    """A fleet after some time, and all that it sent."""
    world = parse_world(text, "test")
    fleet = Fleet(world, Layout(world), breakers=breakers)
    if said is not None:
        fleet.order(said, 0)
    sent = [item for step in range(round(seconds / STEP_SECONDS)) for item in fleet.live(step)]
    return fleet, sent


def counted(fleet: Fleet, sent: list[Delivery], name: str, **parts: str) -> int:
    """Calls of some cells, of all deliveries together."""
    total = np.zeros(fleet.layout.size, dtype=np.int64)
    for item in sent:
        counts = getattr(item, name)
        total[item.cells] += counts.sum(axis=0) if counts.ndim == 2 else counts
    places = fleet.layout.such(lambda part: all(part[key] == value for key, value in parts.items()))
    return int(total[places].sum())


def test_hosts_send_as_often_as_the_sidecar_does() -> None:
    default = {item.name: item.default for item in dataclasses.fields(Settings)}["export_interval_seconds"]
    assert default == hosts.EXPORT_SECONDS
    assert drain.TROUBLE_SECONDS < hosts.TROUBLE_SECONDS <= drain.TROUBLE_SECONDS + drain.DRAIN_SECONDS
    _, calm = lived(HARD, 20)
    assert len(calm) == 3 * 4
    _, troubled = lived(HARD, 24, breakers=False)
    assert len(troubled) - len(calm) == pytest.approx(3 * 4 / hosts.TROUBLE_SECONDS, abs=3)


def test_a_breaker_lets_eight_calls_fail_and_refuses_the_rest() -> None:
    fleet, sent = lived(HARD, 32)
    for instance in ("h0", "h1", "h2"):
        where = {"plugin": "p0", "operation": "read", "instance": instance}
        assert counted(fleet, sent, "failed", **where) in range(8, 14)
        assert counted(fleet, sent, "refused", **where) > 60
    assert counted(fleet, sent, "refused", plugin="p1") == 0


def test_hosts_obey_what_they_are_told_and_let_newcomers_in_by_their_share() -> None:
    text = HARD + '\n[[event]]\nkind = "deploy"\nplugin = "p1"\nto = "2"\nshare = 0.5\nat = 0\n'
    scope = Scope("p1", "1", operation="write")
    said = DirectiveSet("e", 1, (Directive("q", Action.ISOLATE, scope, newcomers=Newcomers(("1",), 0.0)),))
    fleet, sent = lived(text, 15, said=said)
    assert counted(fleet, sent, "ended", plugin="p1", version="1", operation="read") > 100
    assert counted(fleet, sent, "denied", plugin="p1", version="1", operation="write") > 100
    assert counted(fleet, sent, "denied", plugin="p1", version="2", operation="write") > 100
    assert counted(fleet, sent, "ended", plugin="p1", version="2", operation="read") > 100


def test_a_deployment_takes_its_share_from_the_versions_before() -> None:
    text = HARD + '\n[[event]]\nkind = "deploy"\nplugin = "p1"\nto = "2"\nshare = 0.25\nat = 0\n'
    fleet, sent = lived(text, 19)
    new, old = (counted(fleet, sent, "ended", plugin="p1", version=version) for version in ("2", "1"))
    assert new / (new + old) == pytest.approx(0.25, abs=0.02)


def test_a_world_is_the_same_each_time() -> None:
    first, again = (lived(HARD, 30)[0].harm for _ in range(2))
    assert first == again
    assert thrown(7) == thrown(7)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('title = "x"\nsecond = 3', "second: unknown"),
        ('title = "x"\n[[trouble]]\nplugins = "p0"\nfrom = 1', "plugins: unknown"),
        ('title = "x"\n[[event]]\nkind = "pray"\nat = 1', "'pray'; known are deploy"),
        ('title = "x"\nrules = ["lax"]', "lax"),
    ],
)
def test_a_file_that_is_no_world_says_why(text: str, why: str) -> None:
    with pytest.raises(WorldError, match=why):
        parse_world(text, "wrong")


def test_hosts_that_kept_a_version_go_back_to_it_through_its_own_gate() -> None:
    text = (
        HARD
        + '\n[[event]]\nkind = "deploy"\nplugin = "p1"\ninstance = ["h0", "h1"]\nto = "2"\nprevious = "1"\nat = 0\n'
    )
    text += '\n[[event]]\nkind = "deploy"\nplugin = "p1"\ninstance = "h2"\nto = "2"\nat = 0\n'
    newer, half = (
        Directive("q", Action.ISOLATE, Scope("p1", "2")),
        Directive("r", Action.PROBE, Scope("p1", "1"), 0.5),
    )
    fleet, sent = lived(text, 15, said=DirectiveSet("e", 1, (newer, half)))
    for host, kept in (("h0", True), ("h1", True), ("h2", False)):
        where = {"plugin": "p1", "operation": "read", "instance": host}
        refused = counted(fleet, sent, "denied", version="2", **where)
        assert refused > 10
        ended, again = (counted(fleet, sent, name, version="1", **where) for name in ("ended", "denied"))
        assert ended + again == (refused if kept else 0)
        assert bool(ended) is bool(again) is kept
    assert fleet.harm.by_directive == sum(calls for (_, by), calls in fleet.answered.items() if by < 0)


# -- decisions are made again from what is kept with them --------------------------------------------------------------------


@pytest.mark.parametrize("bounded", [True, False])
def test_a_world_fails_where_what_a_decision_rests_on_is_not_kept(
    bounded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = parse_world(HARD, "test")
    assert run(world, world.rules[0]).unlike == []
    if bounded:
        monkeypatch.setattr(facts, "MOST_ROWS", 0)
    else:
        monkeypatch.setattr(evaluating, "with_facts", lambda drafts, facts: list(drafts))
    found = run(world, world.rules[0])
    decided = [(kind, scope) for _, kind, scope in found.said]
    assert [text.partition(" does not come out again")[0] for _, text in found.unlike] == [
        f"{kind} {scope}" for kind, scope in decided
    ]
    assert decided


def test_what_a_person_decides_in_a_world_rests_on_nothing() -> None:
    text = HARD + '\n[[event]]\nat = 5\nkind = "isolate"\nscope = { plugin = "p1" }\n'
    world = parse_world(text, "test")
    found = run(world, world.rules[0])
    assert "quarantined" in {kind for _, kind, _ in found.said}
    assert found.unlike == []
