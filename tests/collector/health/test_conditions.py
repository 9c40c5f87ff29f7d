"""Conditions of the collector: each trouble fires its own, says so once, and ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.health.conditions import RULES, judge, starting, verdict
from plugwarden_collector.health.readings import Readings

from tests.collector.support.still_clock import AT, after

GIB = 2**30

WELL = Readings(AT, quiet_seconds=1.0, quiet_limit_seconds=15.0, senders=3, lag_p99_seconds=0.1, commit_p99_seconds=0.1,
                queue_bound_bytes=100, used_bytes=GIB, max_bytes=20 * GIB, disk_free_bytes=50 * GIB,
                disk_total_bytes=100 * GIB, growth_bytes_per_second=0.0)  # fmt: skip

TROUBLE: dict[str, dict[str, Any]] = {
    "store_failing": {"failed": 1},
    "audit_log_broken": {"audit_breaks": ("the decision log was cut: entries 4 to 6 are missing",)},
    "no_telemetry": {"quiet_seconds": 16.0},
    "judging_late": {"tick_age_seconds": 11.0},
    "disk_nearly_full": {"disk_free_bytes": 9 * GIB},
    "queue_filling": {"queued_bytes": 81},
    "back_pressure": {"busy": 1},
    "ingest_lag": {"lag_p99_seconds": 11.0},
    "commit_slow": {"commit_p99_seconds": 1.1},
    "rollup_lag": {"rollup_lag_seconds": 11.0, "uncounted_rows": 5},
    "clock_stepped": {"clock_step_seconds": -7200.0},
    "calls_set_aside": {"set_aside": ("1 row of spans in commit 3 of host csv: why",), "set_aside_rows": 1},
    "too_many_names": {"names_beyond": ("host",), "names": 2_000},
    "too_many_words": {"words_beyond": (("error_type", "csv", "host"),), "words": 50},
    "identities_shared": {"shared_starts": ("host",)},
    "receiver_untold": {"untold_seconds": {"pager": 3600.0, "mail": 5.0}},
    "alert_rules_failing": {"alert_rules": {"orders wait": "there is no table orders", "others": "why"}},
    "quarantines_untold": {"unannounced": ("q-1 geo",)},
    "checkpoint_late": {"wal_bytes": 300 * 2**20},
    "senders_silent": {"silent": ("host a",)},
    "deletion_refused": {"refused_deletions": {"spans": 0.9}},
    "retention_early": {"early": True},
    "near_max_size": {"used_bytes": 19 * GIB},
}

ALSO = [
    {"writer_alive": False},
    {"tick_failures": 1},
    {"stalled_seconds": 11.0, "queued_requests": 1},
    {"checkpoint_put_off_seconds": 601.0},
    {"growth_bytes_per_second": 1e6, "disk_free_bytes": 12 * GIB, "disk_total_bytes": 100 * GIB},
]


def readings(**changed: Any) -> Readings:
    return Readings(**{**{name: getattr(WELL, name) for name in Readings.__dataclass_fields__}, **changed})


def run(*looks: tuple[float, dict[str, Any]]) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Look at (seconds, what is different from well); answers the states and every change."""
    conditions, seen = starting(), []
    for seconds, changed in looks:
        conditions, changes = judge(conditions, readings(**changed), after(seconds))
        seen += [(change.condition.rule.name, change.before, change.after) for change in changes]
    return {name: item.alert.state.value for name, item in conditions.items()}, seen


def test_every_condition_has_its_trouble_here() -> None:
    assert set(TROUBLE) == {rule.name for rule in RULES}
    assert all(rule.next_step.endswith(".") for rule in RULES)


@pytest.mark.parametrize("name", TROUBLE)
def test_each_trouble_fires_its_own_condition_and_ends_it(name: str) -> None:
    found, changes = run(*[(seconds, TROUBLE[name]) for seconds in range(0, 60, 5)])
    assert {key for key, state in found.items() if state == "firing"} == {name}
    assert {change[0] for change in changes} == {name}
    assert [change[2] for change in changes] in (["firing"], ["pending", "firing"])
    found, changes = run(*[(seconds, TROUBLE[name]) for seconds in range(0, 60, 5)],
                         *[(seconds, {}) for seconds in range(60, 1000, 5)])  # fmt: skip
    assert set(found.values()) == {"inactive"}
    assert changes[-1] == (name, "firing", "inactive")


@pytest.mark.parametrize("trouble", ALSO, ids=lambda trouble: next(iter(trouble)))
def test_other_ways_into_trouble(trouble: dict[str, Any]) -> None:
    found, _ = run(*[(seconds, trouble) for seconds in range(0, 60, 5)])
    assert sum(1 for state in found.values() if state == "firing") == 1


def test_a_value_between_the_limits_neither_fires_nor_ends() -> None:
    between = {"queued_bytes": 60}
    assert run(*[(seconds, between) for seconds in range(0, 60, 5)])[1] == []
    found, changes = run((0, TROUBLE["queue_filling"]), *[(seconds, between) for seconds in range(5, 1000, 5)])
    assert (found["queue_filling"], len(changes)) == ("firing", 1)


def test_growth_counts_only_as_far_as_max_size_lets_it() -> None:
    assert run((0, {"growth_bytes_per_second": 1e6, "disk_free_bytes": 13 * GIB, "max_bytes": 5 * GIB}))[1] == []


def test_nothing_ever_sent_is_no_trouble() -> None:
    assert run((0, {"quiet_seconds": None, "quiet_limit_seconds": None, "senders": 0}))[1] == []


def test_silence_does_not_end_because_everybody_is_forgotten() -> None:
    forgotten = {"quiet_seconds": 4000.0, "quiet_limit_seconds": None, "senders": 0}
    assert run((0, TROUBLE["no_telemetry"]), (4000, forgotten))[0]["no_telemetry"] == "firing"


LOOKS = st.lists(st.tuples(st.floats(0.1, 120), st.sampled_from([{}, *TROUBLE.values(), *ALSO])), max_size=60)


@given(LOOKS)
def test_the_machine_keeps_its_promises(looks: list[tuple[float, dict[str, Any]]]) -> None:
    conditions, seconds = starting(), 0.0
    for step, changed in looks:
        seconds += step
        before, now = conditions, readings(**changed)
        conditions, changes = judge(before, now, after(seconds))
        assert judge(before, now, after(seconds)) == (conditions, changes)  # nothing but its arguments decides
        assert set(conditions) == set(before)
        for change in changes:
            assert change.before != change.after
            assert conditions[change.condition.rule.name].alert.state.value == change.after
        for name, item in conditions.items():
            alert, rule = item.alert, item.rule
            if alert.state is AlertState.FIRING:
                assert alert.pending_at is not None
                assert alert.firing_at is not None
                assert alert.firing_at - alert.pending_at >= timedelta(seconds=rule.for_seconds)
            if before[name].alert.state is AlertState.FIRING and alert.state is not AlertState.FIRING:
                assert rule.read(now).burning is False
                quiet = before[name].alert.quiet_since or after(seconds)
                assert after(seconds) - quiet >= timedelta(seconds=rule.keep_seconds)
        word = verdict(conditions, now)
        open_ = {item.rule.severity for item in conditions.values() if item.alert.state is not AlertState.INACTIVE}
        assert (word.level == "green") == (not open_)
