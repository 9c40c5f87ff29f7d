"""What a tick asked is answered once more as it was: each question has an answer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.cycle.asked import Asked, Remembered
from plugwarden_collector.cycle.facts import Facts, read
from plugwarden_collector.judge.arrivals import STALE, Cell
from plugwarden_collector.judge.sli import CallCounts

from tests.collector.support.logged import entry_of
from tests.collector.support.played_fleet import AT, Fleet, RememberedCalls, rules_with

LATE = AT - STALE + timedelta(seconds=1)
"""Too old for a look that asks since two seconds later, and not for one that asks since now."""


def calls() -> RememberedCalls:
    """Return calls of which one arrived late."""
    found = RememberedCalls()
    for at in (LATE, AT):
        found.add(at, Cell("csv", "1", "x", "web", "h1", "", "", "", CallCounts(5), 0, (0,)))
    return found


def test_looks_since_two_moments_after_one_mark_are_answered_each_with_its_own() -> None:
    asked = Asked(calls(), lambda: 0.0)
    looks = [(AT, 0), (AT + timedelta(seconds=2), 0)]
    told = [asked.lately(["csv"], since, mark, AT) for since, mark in looks]
    assert [sum(cell.counts.total for cell in cells) for cells in told] == [10, 5]
    again = Remembered({}, {}, asked.arrived, {}, {}, ())
    assert [again.lately(["csv"], since, mark, AT) for since, mark in looks] == told


def test_probes_since_two_moments_after_one_mark_are_answered_each_with_their_own() -> None:
    asked = Asked(calls(), lambda: 0.0)
    looks = [(AT, 0), (AT + timedelta(seconds=2), 0)]
    told = [asked.probes(Scope("csv"), since, mark, AT) for since, mark in looks]
    assert told[0] != told[1]
    again = Remembered({}, {}, {}, asked.probed, {}, ())
    assert [again.probes(Scope("csv"), since, mark, AT) for since, mark in looks] == told


def test_every_look_at_the_last_seconds_is_kept_with_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sidecars that send every five seconds: several looks go back to one mark."""
    fleet, looks = Fleet(rules_with()), dict[datetime, list[tuple[datetime, int]]]()
    fleet.has_past("csv")
    lately = RememberedCalls.lately

    def noting(
        self: RememberedCalls, plugins: Sequence[str], since: datetime, mark: int, at: datetime
    ) -> Sequence[Cell]:
        looks.setdefault(at, []).append((since, mark))
        lately(self, plugins, since, mark, at)
        return ()

    monkeypatch.setattr(RememberedCalls, "lately", noting)

    def each() -> None:
        if (fleet.at - AT).total_seconds() % 5 == 0:
            fleet.arrive("csv", "1", 20, 8)

    fleet.play(40, each)
    kept: list[Facts] = [read(entry_of(draft)["facts"]) for draft in fleet.made if draft.facts is not None]
    assert any(len(looks[facts.at]) > len({mark for _, mark in looks[facts.at]}) for facts in kept if facts.at in looks)
    for facts in kept:
        assert [(since, mark) for since, mark, _ in facts.lately] == looks.get(facts.at, [])
