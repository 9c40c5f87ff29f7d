"""A wall clock that steps: the time that is kept goes on, holds hold, nothing is lost; and a clock that stays is taken for true."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.clock import (
    SETTLE_SECONDS,
    STEP_SECONDS,
    Timekeeping,
    TrustedClock,
    boot_identity,
    follow,
    resume,
)
from plugwarden_collector.control.hands import Hands
from plugwarden_collector.control.timekeeping import resumed
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.shift import shift
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.matcher import equal
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.settings import Settings
from plugwarden_collector.store import Database, kept_time
from plugwarden_collector.store.duckdb.retention.slices import Keep, RetentionStats, clean_up
from plugwarden_collector.store.ledger import KeptTime

from tests.collector.store.retention.test_retention import fill, hear, names
from tests.collector.support.own_health import conditions
from tests.collector.support.rolled_store import AT, Store, span
from tests.collector.support.stores import opened

from .conftest import Running, running

DAY = 86_400.0
STEPS = [40 * DAY, 500 * DAY, -7200.0]
TURN_SECONDS = 20
"""Between two looks of a whole collector: many of them until a step is taken for true."""


class Clocks:
    """The two clocks of a machine."""

    def __init__(self) -> None:
        self.wall, self.steady = AT, 1000.0

    def move(self, seconds: float) -> None:
        """Time passes."""
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds

    def step(self, seconds: float) -> None:
        """The wall clock is set."""
        self.wall += timedelta(seconds=seconds)

    def trusted(self, kept: Timekeeping | None = None, *, same_boot: bool = False) -> TrustedClock:
        return TrustedClock(kept, wall=lambda: self.wall, steady=lambda: self.steady, same_boot=same_boot)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "data")
    yield made
    made.close()


@pytest.mark.parametrize("by", STEPS)
def test_a_step_for_two_minutes_moves_nothing(clocks: Clocks, by: float) -> None:
    clock, passed = clocks.trusted(), 0.0
    for offset, seconds in ((0.0, 10), (by, 120), (-by, 10)):
        clocks.step(offset)
        for _ in range(seconds):
            clocks.move(1.0)
            passed += 1.0
            assert abs((clock() - AT).total_seconds() - passed) < STEP_SECONDS
        assert (clock.reading().step is not None) == (offset == by)
    assert clock.reading().adopted_seconds == 0.0


@pytest.mark.parametrize("by", STEPS)
def test_a_clock_that_stays_where_it_stepped_to_is_taken_for_true(clocks: Clocks, by: float) -> None:
    clock = clocks.trusted()
    clocks.step(by)
    clock()
    clocks.move(SETTLE_SECONDS - 1)
    assert abs((clock() - clocks.wall).total_seconds() + by) < STEP_SECONDS
    clocks.move(1)
    assert clock() == clocks.wall
    assert clock.reading().step is None
    assert clock.reading().adopted_seconds == by


def test_a_clock_that_keeps_stepping_is_never_taken_for_true(clocks: Clocks) -> None:
    clock = clocks.trusted()
    for minute in range(60):
        clocks.step(3600.0 if minute % 2 == 0 else -3600.0)
        clocks.move(60.0)
        assert abs((clock() - AT).total_seconds() - 60.0 * (minute + 1)) < STEP_SECONDS


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(-1e8, 1e8) | st.floats(-1.9, 1.9)), max_size=80))
def test_between_adoptions_time_never_goes_back_and_never_far_from_the_steady_clock(
    moves: list[tuple[float, float]],
) -> None:
    kept = Timekeeping(AT, 0.0)
    wall, steady = AT, 0.0
    for seconds, offset in moves:
        steady += seconds
        wall = AT + timedelta(seconds=steady + offset)
        after = follow(kept, wall, steady)
        assert after == follow(kept, wall, steady)
        if after.adopted_seconds == kept.adopted_seconds:
            assert kept.at <= after.at
            assert abs((after.at - kept.at).total_seconds() - seconds) <= 0.1 * seconds + 1e-5
        kept = after


@pytest.mark.parametrize("by", STEPS)
def test_a_restart_during_the_step_and_one_after_it_change_nothing(clocks: Clocks, by: float) -> None:
    clock = clocks.trusted()
    clocks.step(by)
    clock()
    clocks.move(30.0)
    during = clocks.trusted(clock.reading(), same_boot=True)
    assert abs((during() - AT).total_seconds() - 30.0) < STEP_SECONDS
    assert during.reading().step is not None
    clocks.step(-by)
    clocks.move(30.0)
    after = clocks.trusted(during.reading(), same_boot=True)
    assert abs((after() - AT).total_seconds() - 60.0) < STEP_SECONDS
    assert after.reading().step is None


def test_after_a_boot_time_has_at_least_not_gone_back() -> None:
    kept = Timekeeping(AT, 90_000.0)
    behind = resume(kept, AT - timedelta(hours=2), 5.0, same_boot=False)
    assert behind.at == AT
    assert behind.step is not None
    assert resume(kept, AT + timedelta(hours=2), 5.0, same_boot=False).at == AT + timedelta(hours=2)


def test_what_is_known_of_the_time_is_kept_in_the_store(tmp_path: Path, clocks: Clocks) -> None:
    clock = clocks.trusted()
    clocks.step(40 * DAY)
    clocks.move(1.0)
    kept = clock.reading()
    with opened(tmp_path) as store:
        assert resumed(store.ledger.kept_time()) == (None, False)
        store.ledger.keep_time(KeptTime(kept, boot_identity())).result(10)
    database = Database(tmp_path)
    found, same_boot = resumed(kept_time(database))
    database.close()
    assert (found, same_boot) == (kept, True)


def test_what_is_to_happen_after_a_length_of_time_moves_with_the_clock() -> None:
    hold = AT + timedelta(hours=1)
    item = Quarantine("q-1", Scope("csv"), QuarantineState.QUARANTINED, "r", "automation", Enforcement.ENFORCE, started_at=AT,
                      changed_at=AT,
                      hold_until=hold)  # fmt: skip
    silence = Silence("s-1", equal({"plugin": "csv"}), AT, hold, "ann", "known")
    standing = Standing(quarantines={"q-1": item}, actions=[AT], silences=(silence,))
    moved, changes = shift(standing, DAY, AT)
    assert moved.quarantines["q-1"].hold_until == moved.silences[0].ends_at == hold + timedelta(days=1)
    assert moved.quarantines["q-1"].started_at == AT
    assert (changes.quarantines, moved.actions) == ([moved.quarantines["q-1"]], [AT + timedelta(days=1)])
    assert changes.silences == list(moved.silences)
    assert standing == Standing(quarantines={"q-1": item}, actions=[AT], silences=(silence,)), (
        "the old one is as it was"
    )


# -- the whole collector ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", STEPS)
def test_holds_hold_and_nothing_is_let_go_whatever_the_clock_does(tmp_path: Path, clocks: Clocks, by: float) -> None:
    clock = clocks.trusted()
    with running(tmp_path / "data", clock=clock) as collector:
        warden = collector.collector.warden
        item = warden.quarantine(Scope("csv"), "a test", Actor("me"), hold=timedelta(hours=1))
        hands = Hands(warden, list, clock)
        silence = hands.silence(equal({"plugin": "csv"}), timedelta(hours=1), "a test", Actor("me"))
        assert conditions(collector)["clock_stepped"] == "inactive"
        clocks.step(by)
        _turn(collector, clocks, 120)
        assert conditions(collector)["clock_stepped"] == "firing"
        assert warden.standing.quarantines[item.id].state is QuarantineState.QUARANTINED
        assert [known.id for known in warden.silences if known.ends_at > clock()] == [silence.id]
        assert collector.api.get("retention") == []
        clocks.step(-by)
        _turn(collector, clocks, 20)
        assert warden.standing.quarantines[item.id] == item
        clocks.step(by)  # and now it stays there
        _turn(collector, clocks, 400)
        assert clock.reading().adopted_seconds == pytest.approx(by, abs=STEP_SECONDS)
        held = warden.standing.quarantines[item.id]
        assert held.state is QuarantineState.QUARANTINED
        assert held.hold_until is not None
        assert (held.hold_until - clock()).total_seconds() == pytest.approx(3600 - 540, abs=60)
        assert (warden.silences[0].ends_at - clock()).total_seconds() == pytest.approx(3600 - 540, abs=60)
        assert "clock_adopted" in {entry["kind"] for entry in collector.api.get("audit")}
        assert collector.api.get("audit/verify")["valid"]
    with running(tmp_path / "data", clock=clock) as collector:
        collector.collector.warden.tick()
        again = collector.collector.warden
        assert again.standing.quarantines[item.id].hold_until == held.hold_until
        assert again.silences[0].ends_at == warden.silences[0].ends_at


def _turn(collector: Running, clocks: Clocks, seconds: int) -> None:
    for _ in range(seconds // TURN_SECONDS):
        clocks.move(TURN_SECONDS)
        collector.collector.warden.tick()
        collector.collector.health.look()


# -- retention ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [40, 500])
def test_a_clock_far_ahead_makes_nothing_old_while_data_say_otherwise(store: Store, days: int) -> None:
    fill(store, [100, 60, 30, 1])
    stats = RetentionStats()
    clean_up(store.database, store.writer, Keep(), stats, AT + timedelta(days=days))
    assert names(store) == {"100 h", "60 h", "30 h", "1 h"}
    assert sum(store.calls().values()) == 40
    assert stats.refused == {}


def test_a_large_deletion_waits_for_a_person_who_allows_it_once(store: Store) -> None:
    fill(store, [100, 60, 30, 1])
    keep, stats, later = Keep(raw=timedelta(days=2), max_share_ratio=0.5), RetentionStats(), AT + timedelta(days=40)
    hear(store, later)  # all clocks are far ahead, the senders' too
    clean_up(store.database, store.writer, keep, stats, later)
    assert names(store) == {"100 h", "60 h", "30 h", "1 h"}
    assert sum(store.calls().values()) == 40
    assert stats.refused["spans"].share_ratio == 1.0
    assert stats.refused["spans"].rows == 40
    assert "logs" not in stats.refused
    stats.allowed = {view: item.before for view, item in stats.refused.items()}
    clean_up(store.database, store.writer, keep, stats, later)
    assert names(store) == set()
    assert stats.refused == {}
    fill(store, [5])
    clean_up(store.database, store.writer, keep, stats, later)
    assert names(store) == {"5 h"}  # once is once


def test_an_hour_at_a_time_goes_by_itself(store: Store) -> None:
    fill(store, [49, *range(0, 40, 2)])
    stats = RetentionStats()
    clean_up(store.database, store.writer, Keep(raw=timedelta(days=2), max_share_ratio=0.5), stats, AT)
    assert "49 h" not in names(store)
    assert stats.refused == {}


def test_a_person_allows_a_deletion_through_the_api_and_it_is_in_the_log(collector: Running) -> None:
    from plugwarden_collector.store.upkeep import Refused

    stats = collector.collector.telemetry.upkeep._stats  # type: ignore[attr-defined]
    stats.refused = {"spans": Refused(40, 1.0, datetime(2026, 1, 1, 12))}
    collector.collector.health.look()
    assert conditions(collector)["deletion_refused"] == "firing"
    answer = collector.api.post("retention/allow", {"reason": "off for a week"})
    assert [row["view"] for row in answer] == ["spans"]
    assert stats.allowed == {"spans": datetime(2026, 1, 1, 13)}
    (entry,) = [row for row in collector.api.get("audit") if row["kind"] == "deletion_allowed"]
    assert "spans (40 rows from before 2026-01-01 12:00:00)" in entry["scope"]


# -- rollups --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [40, 500])
def test_a_moment_far_ahead_does_not_make_all_that_follows_late(store: Store, days: int) -> None:
    def send(at: datetime) -> None:
        message = trace_service_pb2.ExportTraceServiceRequest()
        span(message, at=at)
        store.send(Signal.TRACES, message, at)

    send(AT)
    store.roll(AT)
    ahead = store.roll(AT + timedelta(days=days))
    assert ahead.minutes <= AT + timedelta(hours=6)
    for hours in range(1, 24):
        send(AT + timedelta(hours=hours))
        store.roll(AT + timedelta(hours=hours, minutes=3))
    assert sum(store.calls().values()) == 24
    rows = store.database.cursor().execute("select sum(calls)::int from call_hours").fetchall()
    assert rows[0][0] >= 22
    assert store.database.tiers.minutes <= AT + timedelta(hours=23, minutes=3)


@pytest.mark.parametrize("text", ["0%", "half", "120%", "0.5"])
def test_a_share_that_is_none_names_its_flag(text: str) -> None:
    assert Settings.keep_from("7d", "20GB", None, "20%").max_share_ratio == pytest.approx(0.2)
    with pytest.raises(SettingsError, match=r"--max-deletion: .* is not a share"):
        Settings.keep_from("7d", "20GB", None, text)
