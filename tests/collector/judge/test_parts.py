"""Bad calls of processes and tenants: when they became more, how often that is asked, and how little is remembered."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from plugwarden_collector.judge import parts as module
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.parts import (
    PART_FAILURES,
    PART_GAP,
    PartCount,
    PartKey,
    Rise,
    count_parts,
    rises,
)
from plugwarden_collector.judge.sli import CallCounts

AT = datetime(2026, 1, 1, 12)
STREAM = ("csv", "1", "x")


class Counting:
    """Bad calls of one process or tenant after the other."""

    def __init__(self) -> None:
        self.parts: dict[PartKey, PartCount] = {}
        self.at, self.mark = AT, 0

    def come(self, second: float, *names: str, waiting: Iterable[str] = ()) -> set[PartKey]:
        """One bad call of each of the named tenants arrives so many seconds after the beginning; returns who must be looked at."""
        self.at, self.mark = AT + timedelta(seconds=second), self.mark + 1
        cells = [Cell(*STREAM, "web", "", "", tenant, "", CallCounts(1, failed=1), 0, (0,)) for tenant in names]
        self.parts, noticed = count_parts(self.parts, cells, {}, self.at, self.mark, frozenset(waiting))
        return noticed

    def rise(self) -> Rise:
        """Return when the stream's trouble began."""
        return rises(self.parts, [PartKey(*STREAM, "tenant", "")], self.at)[STREAM]

    def began(self) -> float:
        """Return the second in which it did."""
        return (self.rise().step.at - AT).total_seconds()


def test_without_a_past_a_trouble_began_with_the_first_bad_call() -> None:
    counting = Counting()
    for second in range(8):
        counting.come(second, "a")
    assert (counting.began(), counting.rise().bad) == (0, 8)


@pytest.mark.parametrize("for_seconds", [12, 40, 300])
def test_where_stray_failures_become_many_the_trouble_began_then(for_seconds: int) -> None:
    """Before, a part was looked at from the first of its stray failures on, so that good calls between them hid the trouble."""
    counting, chance = Counting(), random.Random(1)
    for second in range(300):
        if chance.random() < 0.08:
            counting.come(second, "a")
    strays = counting.parts[PartKey(*STREAM, "tenant", "a")].bad
    for second in range(300, 300 + for_seconds):
        counting.come(second, "a")
    assert 298 <= counting.began() <= 302
    assert counting.rise().bad >= for_seconds - 2
    assert strays < 40


def test_the_part_that_rose_most_clearly_tells_when_it_began() -> None:
    """Before, whichever part had begun last told it: one whose stray failures are seldom begins anew all the time."""
    counting = Counting()
    for second in range(40):
        counting.come(second, "a", *(["b"] if second in (33, 36, 37, 38, 39) else []))
    assert counting.began() == 0


@pytest.mark.parametrize("seed", range(20))
def test_steady_failures_are_looked_at_ever_more_seldom(seed: int) -> None:
    counting, chance = Counting(), random.Random(seed)
    looks = [second for second in range(1000) if chance.random() < 0.4 and counting.come(second, "a")]
    assert 5 <= len(looks) <= 25


def test_a_part_that_always_failed_a_little_is_looked_at_soon_after_it_fails_more() -> None:
    """Before, a part with 400 stray failures was looked at again when it had 600."""
    counting, chance = Counting(), random.Random(3)
    for second in range(1000):
        if chance.random() < 0.4:
            counting.come(second, "a")
    looks = [second for second in range(1000, 1030) if counting.come(second, "a", "a", "a")]
    assert looks
    assert looks[0] < 1012


def test_no_more_steps_are_kept_than_there_is_room_for() -> None:
    counting, chance = Counting(), random.Random(2)
    for second in range(2000):
        if chance.random() < 0.5:
            counting.come(second, "a")
    (count,) = counting.parts.values()
    assert len(count.steps) == module.MOST_STEPS
    assert list(count.steps) == sorted(count.steps)
    assert count.steps[0].before == 0


def test_what_waits_for_its_time_is_looked_at_each_time() -> None:
    counting = Counting()
    for second in range(PART_FAILURES):
        counting.come(second, "a")
    assert not counting.come(PART_FAILURES, "a")
    assert counting.come(PART_FAILURES + 1, "a", waiting=["csv"])


def test_after_a_pause_bad_calls_are_counted_anew() -> None:
    counting = Counting()
    for second in (0, 1, 2):
        counting.come(second, "a")
    counting.come(3 + PART_GAP.total_seconds(), "a")
    (count,) = counting.parts.values()
    assert (count.bad, count.steps[0].before) == (1, 0)


def test_bad_calls_of_one_moment_are_one_step() -> None:
    counting = Counting()
    counting.come(1, "a", "a", "a")
    counting.come(2, "a", "a")
    (count,) = counting.parts.values()
    assert [(step.mark, step.before) for step in count.steps] == [(1, 0), (2, 3)]
    assert replace(count, looked=0).bad == 5
