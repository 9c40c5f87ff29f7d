"""Where trouble is suspected: streams, parts of them, breakers that refuse, and how little is remembered of what is well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from plugwarden_collector.judge import parts
from plugwarden_collector.judge import watch as module
from plugwarden_collector.judge.arrivals import Arrivals, Cell, StreamCounts
from plugwarden_collector.judge.evidence import ATTENTION_NATS
from plugwarden_collector.judge.kept_watch import kept, resumed
from plugwarden_collector.judge.parts import PART_FAILURES
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.watch import RECENT, Suspect, Watch, look

from tests.collector.support.played_fleet import AT, AVAILABILITY, LATENCY

OBJECTIVES = (AVAILABILITY, LATENCY)


def cell(plugin: str = "csv", total: int = 0, bad: int = 0, refused: int = 0, **where: str) -> Cell:
    base = Cell(plugin, "1", "x", "web", "h1", "", "", "", CallCounts(total, failed=bad), refused, (0,))
    return replace(base, **where)  # type: ignore[arg-type]


class Looking:
    """A watch that is brought forward second by second."""

    def __init__(self, judged: Callable[[str, str, str], bool] = lambda *_: True) -> None:
        self.watch, self.at, self.judged = Watch(), AT, judged

    def come(self, *cells: Cell, after: float = 1.0, slow: int = 0) -> list[Suspect]:
        """Cells arrive after so many seconds."""
        self.at += timedelta(seconds=after)
        streams: dict[tuple[str, str, str], StreamCounts] = {}
        for item in cells:
            key = (item.plugin, item.version, item.operation)
            before = streams.get(key, StreamCounts(*key, CallCounts(), 0, (slow,)))
            counts = CallCounts(
                before.counts.total + item.counts.total, failed=before.counts.failed + item.counts.failed
            )
            streams[key] = replace(before, counts=counts, refused=before.refused + item.refused)
        bad = tuple(item for item in cells if item.counts.failed or item.refused)
        arrivals = Arrivals(self.watch.mark + 1, tuple(streams.values()), bad)
        self.watch, suspects = look(self.watch, arrivals, OBJECTIVES, {}, self.at, self.judged)
        return suspects

    def nats(self) -> float:
        """Return the most that speaks against any stream."""
        return max((item.nats for item in self.watch.streams.values()), default=0.0)


def test_of_what_is_well_nothing_is_remembered() -> None:
    looking = Looking()
    for _ in range(20):
        assert looking.come(cell(total=100)) == []
    assert (looking.watch.streams, looking.watch.parts, looking.watch.recent) == ({}, {}, ())
    assert looking.watch.mark == 20


def test_who_fails_is_looked_at_from_when_it_began() -> None:
    looking = Looking()
    looking.come(cell(total=100))
    (suspect,) = looking.come(cell(total=10, bad=10))
    assert (suspect.objective, suspect.plugin, suspect.parts) == ("availability", "csv", False)
    assert suspect.streams == {("1", "x"): (1, looking.at, looking.at)}


def test_slowness_is_suspected_by_the_objective_that_minds_it() -> None:
    (suspect,) = Looking().come(cell(total=10), slow=10)
    assert suspect.objective == "latency"


def test_what_is_not_judged_leaves_no_trace() -> None:
    looking = Looking(lambda plugin, version, operation: plugin != "csv")
    assert looking.come(cell(total=10, bad=10)) == []
    assert (looking.watch.streams, looking.watch.parts, looking.watch.recent) == ({}, {}, ())


def test_where_one_is_looked_at_so_are_others_with_a_little_against_them() -> None:
    looking = Looking()
    assert looking.come(cell("geo", total=1, bad=1)) == []
    found = looking.come(cell(total=10, bad=10), cell("geo", total=1, bad=1))
    assert [item.plugin for item in found] == ["csv", "geo"]


def test_what_went_well_of_another_operation_is_not_forgotten_for_a_stray_failure_of_it() -> None:
    """Before, it was counted from that failure on, and the good calls since the others fail were gone."""
    looking = Looking()
    looking.come(cell(total=5))
    for _ in range(4):
        suspect = looking.come(cell(total=4, bad=4), cell(operation="y", total=2))[0]
    began = suspect.streams["1", "x"]
    suspect = looking.come(cell(total=4, bad=4), cell(operation="y", total=1, bad=1))[0]
    assert suspect.streams == {("1", "x"): began, ("1", "y"): (began.mark, began.at, looking.at)}
    for _ in range(3):
        suspect = looking.come(cell(total=4, bad=4), cell(operation="y", total=4, bad=4))[0]
    assert suspect.streams["1", "y"].mark > began.mark


# -- breakers -----------------------------------------------------------------------------------------------------------


def test_an_open_breaker_counts_for_one_bad_call_a_second_however_many_it_refuses() -> None:
    found = []
    for refused in (5, 5_000):
        looking = Looking()
        for _ in range(12):
            looking.come(cell(refused=refused), after=0.5)
        (count,) = looking.watch.parts.values()
        found.append(count.bad)
    assert found == [6, 6]


def test_breakers_of_two_processes_count_for_themselves() -> None:
    alone, both = Looking(), Looking()
    for _ in range(4):
        alone.come(cell(refused=9))
        both.come(cell(refused=9), cell(refused=9, instance="h2"))
    assert both.nats() > alone.nats() > 0


def test_a_breaker_that_refused_nothing_for_a_while_is_taken_for_closed() -> None:
    looking = Looking()
    looking.come(cell(refused=9))
    assert looking.watch.refusing
    looking.come(cell("geo", total=1, bad=1), after=7)
    assert not looking.watch.refusing


def test_no_slowness_follows_from_a_breaker() -> None:
    looking = Looking()
    for _ in range(30):
        looking.come(cell(refused=9))
    assert {key.objective for key in looking.watch.streams} == {"availability"}


# -- parts --------------------------------------------------------------------------------------------------------------


def part_fails(looking: Looking, seconds: int, bad: int = 1, total: int = 400) -> list[int]:
    """One process of many fails in all of its few calls. Return the seconds in which its plugin was looked at for a part."""
    found = []
    for second in range(seconds):
        suspects = looking.come(cell(total=bad, bad=bad), cell(total=total, instance="h2"))
        if any(item.parts for item in suspects):
            found.append(second)
    return found


def test_a_part_too_small_to_show_in_the_whole_is_looked_at_and_the_looks_grow_rare() -> None:
    looks = part_fails(Looking(), 60)
    assert looks[0] == PART_FAILURES - 1
    pauses = [later - sooner for sooner, later in pairwise(looks)]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 10


def test_a_part_that_waits_for_its_time_is_looked_at_each_time() -> None:
    looking = Looking()
    part_fails(looking, PART_FAILURES)
    looking.watch = replace(looking.watch, waiting=frozenset({"csv"}))
    assert part_fails(looking, 1) == [0]


def test_strays_of_a_part_that_come_far_apart_never_add_up() -> None:
    looking = Looking()
    for _ in range(40):
        assert looking.come(cell(total=1, bad=1), cell(total=400, instance="h2"), after=31) == []
    assert all(item.bad == 1 for item in looking.watch.parts.values())


def test_no_more_parts_are_counted_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARTS", 6)
    monkeypatch.setattr(parts, "MAX_PARTS", 6)
    looking = Looking()
    for number in range(20):
        looking.come(cell(total=1, bad=1, refused=1, instance=f"h{number}"))
    assert len(looking.watch.parts) <= 6
    assert len(looking.watch.refusing) <= 6


def test_of_too_many_suspicions_the_strongest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SUSPICIONS", 3)
    looking = Looking()
    looking.come(*(cell(f"p{number}", total=number + 1, bad=number + 1) for number in range(8)))
    assert {key.plugin for key in looking.watch.streams} == {"p5", "p6", "p7"}


# -- the last seconds, and clean slates -----------------------------------------------------------------------------------


def test_what_failed_lately_is_known_for_a_few_seconds() -> None:
    looking = Looking()
    looking.come(cell(total=1, bad=1))
    assert [item.plugin for item in looking.watch.recent_cells()] == ["csv"]
    looking.come(cell("geo", total=5), after=RECENT.total_seconds() + 0.5)
    assert list(looking.watch.recent_cells()) == []


def test_a_clean_slate_is_for_those_alone_whom_it_is_given() -> None:
    looking = Looking()
    looking.come(cell(total=10, bad=10), cell("geo", total=10, bad=10))
    clean = looking.watch.without(lambda plugin, version, operation: plugin == "csv")
    assert {key.plugin for key in clean.streams} == {key.plugin for key in clean.parts} == {"geo"}
    assert looking.nats() > ATTENTION_NATS


def test_who_is_well_again_is_looked_at_no_longer_however_long_it_failed() -> None:
    """Before, it took thirteen good calls for each bad one: an hour of failures was held against a plugin for half a day."""
    needed = []
    for failing in (10, 600):
        looking = Looking()
        for _ in range(failing):
            looking.come(cell(total=10, bad=10))
        seconds = 0
        while looking.watch.streams:
            looking.come(cell(total=10))
            seconds += 1
        needed.append(seconds)
    assert needed[1] <= needed[0] <= 20


def test_good_calls_that_come_in_a_lump_between_failures_clear_nobody() -> None:
    """Failures are told at once, and all else every five seconds."""
    looking = Looking()
    for second in range(60):
        good = [cell(total=150, instance="h2")] if second % 5 == 4 else []
        looking.come(cell(total=10, bad=10), *good)
    assert looking.nats() > 20
    assert min(item.lead.since for item in looking.watch.streams.values()) <= AT + timedelta(seconds=15)


# -- what came before ---------------------------------------------------------------------------------------------------


def test_what_came_before_a_trouble_is_known_by_when_it_arrived() -> None:
    """Before, calls of a process whose clock is behind were from before that."""
    looking = Looking()
    for _ in range(30):
        looking.come(cell(total=10))
    (suspect,) = looking.come(cell(total=10, bad=10))
    assert (suspect.mark, suspect.before_mark) == (30, 20)


def test_before_the_first_look_nothing_is_known() -> None:
    looking = Looking()
    looking.come(cell(total=10))
    (suspect,) = looking.come(cell(total=10, bad=10))
    assert suspect.before_mark is None


def test_of_looks_long_ago_one_a_second_is_remembered() -> None:
    looking = Looking()
    for _ in range(4000):
        looking.come(cell(total=1), after=0.25)
    ages = [looking.at - at for at, _ in looking.watch.marks]
    assert len(ages) < 150
    assert max(ages) >= timedelta(seconds=118)
    assert sum(age <= timedelta(seconds=6) for age in ages) >= 24


# -- as text ------------------------------------------------------------------------------------------------------------


def test_what_is_suspected_is_read_as_it_was_kept() -> None:
    looking = Looking()
    for _ in range(5):
        looking.come(cell(total=10, bad=4), cell("geo", total=3, bad=3, tenant="acme"))
    looking.come(cell(total=10), cell("geo", total=30))
    back = resumed(kept(looking.watch))
    assert back == replace(looking.watch, recent=(), refusing={}, waiting=frozenset())
    assert resumed(kept(Watch())) == Watch()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        "[]",
        "{}",
        '{"form": 1, "at": null, "mark": 4, "streams": [], "parts": []}',
        '{"form": 99, "at": null, "mark": 4, "streams": [], "parts": []}',
        '{"form": 3, "at": "noon", "mark": 4, "streams": [], "parts": []}',
        '{"form": 3, "at": null, "mark": 4, "streams": [["a"]], "parts": []}',
        '{"form": 3, "at": null, "mark": 4, "streams": [], "parts": [["a", "b"]]}',
        '{"form": 3, "at": null, "streams": [], "parts": []}',
    ],
)
def test_a_text_of_another_form_is_not_read(text: str | None) -> None:
    assert resumed(text) is None


def test_a_watch_that_was_resumed_goes_on_as_if_it_had_never_stopped() -> None:
    whole, stopped = Looking(), Looking()
    batches: Sequence[Sequence[Cell]] = [
        (cell(total=10, bad=3), cell("geo", total=1, bad=1, tenant="acme")),
        (cell(total=10), cell("geo", total=5)),
    ] * 6
    for batch in batches:
        assert whole.come(*batch) == stopped.come(*batch)
        back = resumed(kept(stopped.watch))
        assert back is not None
        stopped.watch = back
    assert whole.watch.streams == stopped.watch.streams
    assert whole.watch.parts == stopped.watch.parts
    assert isinstance(stopped.watch.at, datetime)
