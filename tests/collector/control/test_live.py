"""The live loop: what people do at once, and beside others who share the ledger."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.control import live
from plugwarden_collector.control.hands import Hands
from plugwarden_collector.control.live import ACT_TRIES, pace, rest
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.errors import ConflictError, StaleError
from plugwarden_collector.matcher import equal

from tests.collector.conftest import Running, running
from tests.collector.support.failing_plugin import entries, fail, rules_for
from tests.collector.support.waiting import eventually

ANN = Actor("ci", "ann")
HOUR = timedelta(hours=1)


def others(collector: Running, **changes: Any) -> None:
    """Commit as another collector that shares the ledger."""
    ledger = collector.collector.ledger
    at = collector.collector.health.now()
    for _ in range(100):
        try:
            ledger.commit(Changes(at=at, **changes), ledger.load(at).revision).result(30)
        except StaleError:
            continue
        return
    raise AssertionError("it did not come about")


def test_an_act_goes_on_from_what_others_left(tmp_path: Path) -> None:
    with running(tmp_path / "data", judging=False) as collector:
        warden = collector.collector.warden
        mine = warden.quarantine(Scope("csv"), "by hand", ANN)
        at, hands = collector.collector.health.now(), Hands(warden, list, collector.collector.health.now)
        silence = hands.silence(equal({"plugin": "csv"}), HOUR, "known", ANN)
        others(collector, unsilenced=[silence.id])
        theirs = warden.quarantine(Scope("geo"), "by hand", ANN)
        assert set(warden.standing.quarantines) == {mine.id, theirs.id}
        assert warden.silences == (), "what they took back is not in force here"
        stored = collector.collector.ledger.load(at).standing
        assert stored.quarantines == warden.standing.quarantines
        assert stored.directives == warden.standing.directives
        eventually(lambda: collector.collector.board.current == stored.directives)


def test_an_act_that_others_overtake_each_time_is_refused_and_leaves_nothing(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    warden, ledger, tried = collector.collector.warden, collector.collector.ledger, list[int]()

    def overtaken(changes: Changes, expected: int) -> Any:
        tried.append(expected)
        raise StaleError(expected, expected + 1)

    monkeypatch.setattr(ledger, "commit", overtaken)
    with pytest.raises(ConflictError, match="try again"):
        warden.freeze(True, "a storm", ANN)
    assert len(tried) >= ACT_TRIES
    assert warden.standing.frozen is None


def test_a_turn_is_paced_by_what_judging_takes_and_counting_weighs_half_as_much() -> None:
    assert pace(0.01, 0.0) == 0.25
    assert pace(0.1, 0.0) == pytest.approx(0.4)
    assert pace(0.2, 0.12) == pytest.approx(0.4)
    assert pace(0.3, 0.3) == pytest.approx(0.6)
    assert pace(5.0, 0.0) == 1.0


@pytest.mark.parametrize(
    ("passed", "pause", "look", "seconds"),
    [
        (0.1, 0.3, None, 0.2),
        (0.5, 0.3, None, 0.0),
        (0.1, 0.3, 0.3, 0.3),  # soon after: the same tick
        (0.1, 0.3, 0.5, 0.2),
        (0.2, 0.9, 0.3, 0.3),  # a slow tick does not put it off
        (0.2, 0.9, 0.01, 0.05),  # but ticks stay as far apart as they are while data arrive
        (0.5, 0.9, -1.0, 0.0),
    ],
)
def test_a_look_that_is_due_is_not_put_off_and_one_that_is_due_soon_is_the_same_tick(
    passed: float, pause: float, look: float | None, seconds: float
) -> None:
    assert rest(passed, pause, look) == pytest.approx(seconds)


def test_what_waits_for_a_moment_is_looked_at_then_though_nothing_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "TICK_SECONDS", 600.0)
    with running(tmp_path / "data", rules_for(tmp_path, "enforce")) as collector:
        eventually(lambda: collector.collector.warden.stats.ticks)
        fail(collector)
        eventually(lambda: entries(collector, "quarantined"))
