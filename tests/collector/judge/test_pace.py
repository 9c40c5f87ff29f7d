"""Whether a process is slow with everything: who is excused by it, and who is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from plugwarden_collector.judge import pace as pace_of_process
from plugwarden_collector.judge.pace import Pace

USUAL = 0.02
LASTED = 5.0


def slow_hosts(plugin: str, instances: Sequence[str], paces: Sequence[Pace]) -> dict[str, float]:
    return pace_of_process.slow_hosts(plugin, instances, paces, LASTED)


def pace(plugin: str, slowdown: float, *, instance: str = "h1", cpu: float = 1.0, calls: int = 50) -> Pace:
    return Pace(plugin, "web", instance, calls, USUAL * slowdown, 0.001 * cpu, 500, USUAL, 0.001)


def others(slowdown: float, *, count: int = 4, instance: str = "h1") -> list[Pace]:
    return [pace(f"p{number}", slowdown, instance=instance) for number in range(1, count + 1)]


def test_a_plugin_is_excused_by_a_process_in_which_everything_takes_longer() -> None:
    assert slow_hosts("p0", ["h1"], [pace("p0", 40.0), *others(3.0)]) == {"h1": pytest.approx(3.0)}


def test_not_where_the_others_are_as_quick_as_ever() -> None:
    assert slow_hosts("p0", ["h1"], [pace("p0", 3.0), *others(1.2)]) == {}


def test_one_slow_neighbour_is_not_everything() -> None:
    assert slow_hosts("p0", ["h1"], [pace("p0", 3.0), pace("p1", 9.0), *others(1.0)[1:]]) == {}


def test_who_uses_more_cpu_than_before_slowed_the_others() -> None:
    assert slow_hosts("p0", ["h1"], [pace("p0", 40.0, cpu=20.0), *others(3.0)]) == {}


def test_contention_alone_costs_some_cpu_and_excuses_nevertheless() -> None:
    assert slow_hosts("p0", ["h1"], [pace("p0", 4.0, cpu=1.5), *others(3.0)]) != {}


def test_who_uses_several_times_more_and_hardly_any_of_a_core_slows_nobody() -> None:
    """One plugin of a starved machine, as it was isolated: 62 calls of 0.15 ms before, of 0.96 ms in the 5.3 s since."""
    few = Pace("p0", "web", "h1", 62, 0.5, 0.00096, 124, 0.06, 0.00015)
    assert slow_hosts("p0", ["h1"], [few, *others(2.8)]) == {"h1": pytest.approx(2.8)}
    busy = replace(few, recent_cpu_seconds=0.00015 + 0.1 * LASTED / 62)
    assert slow_hosts("p0", ["h1"], [busy, *others(2.8)]) == {}


def test_it_takes_three_others() -> None:
    assert slow_hosts("p0", ["h1"], [pace("p0", 3.0), *others(3.0, count=2)]) == {}
    assert slow_hosts("p0", ["h1"], [pace("p0", 3.0), *others(3.0, count=3)]) != {}


def test_who_is_slow_in_a_process_that_is_well_is_not_excused_by_another_one() -> None:
    paces = [pace("p0", 3.0), *others(3.0), pace("p0", 3.0, instance="h2"), *others(1.0, instance="h2")]
    assert slow_hosts("p0", ["h1", "h2"], paces) == {}
    assert slow_hosts("p0", ["h1"], paces) != {}
    assert slow_hosts("p0", ["h1", "h3"], paces) == {}


def test_without_cpu_times_a_plugin_that_slowed_down_far_more_than_the_others_is_not_excused() -> None:
    told = [replace(item, recent_cpu_seconds=0.0, usual_cpu_seconds=0.0) for item in [pace("p0", 29.0), *others(3.0)]]
    assert slow_hosts("p0", ["h1"], told) != {}
    far = replace(told[0], recent_seconds=USUAL * 31.0)
    assert slow_hosts("p0", ["h1"], [far, *told[1:]]) == {}


def test_too_few_calls_say_nothing() -> None:
    assert pace("p0", 9.0, calls=2).slowdown is None
    assert replace(pace("p0", 9.0), usual_calls=4).slowdown is None
    assert slow_hosts("p0", ["h1"], [pace("p0", 40.0), *(pace(f"p{n}", 9.0, calls=2) for n in range(9))]) == {}


def test_a_plugin_that_slowed_down_out_of_all_proportion_has_a_trouble_of_its_own() -> None:
    assert slow_hosts("p0", ["h1"], [pace("p0", 119.0), *others(3.0)]) != {}
    assert slow_hosts("p0", ["h1"], [pace("p0", 121.0), *others(3.0)]) == {}


def test_a_name_that_two_services_use_is_no_process_and_no_name_neither() -> None:
    paces = [pace("p0", 3.0), *others(3.0)]
    assert slow_hosts("p0", ["h1"], [*paces, replace(pace("x", 3.0), service="another")]) == {}
    assert slow_hosts("p0", [""], [replace(item, instance="") for item in paces]) == {}
