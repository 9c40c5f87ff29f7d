"""The fewest factors of any table: by likelihood ratio, less the length of their description."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.judge.causes.factors import BASE_NATS, Search
from plugwarden_collector.judge.causes.table import Table, excess_nats

COLOURS, SIZES, SHAPES = ("red", "green", "blue", "grey"), ("S", "M", "L"), ("round", "square")


VALUES = list(product(COLOURS, SIZES, SHAPES))


def counted(bad: Callable[[tuple[str, ...]], float], calls: int) -> Table:
    """A table of all combinations, each with as many calls."""
    count = len(VALUES)
    return Table(list(zip(*VALUES, strict=True)), [calls] * count, [bad(values) for values in VALUES], [0.01] * count)


def table(*failing: dict[int, str], calls: int = 60, rate: float = 0.7) -> Search:
    """A table in which those cells fail that have all values of one of these."""

    def bad(values: tuple[str, ...]) -> int:
        fails = any(all(values[at] == value for at, value in one.items()) for one in failing)
        return round(calls * rate) if fails else 0

    return Search(counted(bad, calls), [0.0, 0.0, 0.0])


def named(search: Search) -> list[dict[int, str]]:
    return sorted((dict(factor.conditions) for factor in search.run()), key=str)


@pytest.mark.parametrize(
    "failing",
    [
        [{}],
        [{0: "red"}],
        [{1: "M", 2: "round"}],
        [{0: "red", 1: "M", 2: "round"}],
        [{0: "red"}, {1: "M"}],
        [{0: "red"}, {0: "blue", 1: "L"}],
        [{0: "red", 1: "S"}, {0: "green", 1: "M"}],
        [{0: "red", 1: "S"}, {0: "green", 1: "M"}, {2: "round", 1: "L"}],
    ],
)
def test_a_table_is_described_by_what_was_planted_in_it(failing: list[dict[int, str]]) -> None:
    assert named(table(*failing)) == sorted(failing, key=str)


def test_a_table_in_which_nothing_fails_has_no_factor() -> None:
    assert table().run() == []


def test_a_factor_gains_more_than_naming_it_costs() -> None:
    (factor,) = table({0: "red"}).run()
    assert factor.cost == pytest.approx(BASE_NATS + log(len(COLOURS)))
    assert factor.score > 0
    assert (factor.total, factor.bad) == (360, 252)


def test_values_that_fail_at_rates_of_their_own_are_put_together_when_none_is_well() -> None:
    rates = {"S": 0.2, "M": 0.5, "L": 0.9}
    (factor,) = Search(counted(lambda values: 100 * rates[values[1]], 100), [0.0, 0.0, 0.0]).run()
    assert factor.conditions == ()
    assert sorted(dict(part.conditions)[1] for part in factor.parts) == ["L", "M", "S"]


def test_a_value_that_may_not_be_named_names_nothing() -> None:
    unnamed = [frozenset({"red"}), frozenset[str](), frozenset[str]()]
    found = Search(table({0: "red"}).table, [0.0, 0.0, 0.0], unnamed).run()
    assert all((0, "red") not in factor.conditions for factor in found)


@given(st.integers(1, 2000), st.floats(0.002, 0.5))
def test_an_excess_is_as_rare_by_accident_as_its_nats_say(total: int, ratio: float) -> None:
    """Chernoff's bound, against the binomial's tail summed by hand."""
    bad = min(total, int(total * ratio * 2) + 1)
    tail, term = 0.0, _probability(total, bad, ratio)
    for count in range(bad, total + 1):
        tail += term
        term *= (total - count) / (count + 1) * ratio / (1 - ratio)
    assert tail <= exp(-excess_nats(total, bad, ratio)) * (1 + 1e-9)


def _probability(total: int, bad: int, ratio: float) -> float:
    chosen = sum(log(total - at) - log(at + 1) for at in range(bad))
    return exp(chosen + bad * log(ratio) + (total - bad) * log(1 - ratio))


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.001, 0.5))
def test_more_failures_are_more_evidence(one: int, more: int, ratio: float) -> None:
    assert excess_nats(1000, one, ratio) <= excess_nats(1000, one + more, ratio)


@given(st.integers(0, 10_000), st.floats(0.001, 0.5))
def test_no_more_failures_than_usual_are_no_evidence(total: int, ratio: float) -> None:
    assert excess_nats(total, int(total * ratio), ratio) == 0.0
