"""Faults that are planted by chance are found, and healthy plugins explain nothing."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden_collector.judge.causes import Explanation, Sample, explain

from tests.collector.support.cells import (
    AT,
    Trouble,
    blamed,
    cells,
    where,
)

VALUES = {
    "version": ("1", "2", "3"),
    "operation": ("a", "b", "c"),
    "machine": ("m0", "m1", "m2"),
    "tenant": ("", "acme"),
}


@st.composite
def planted(draw: st.DrawFn) -> tuple[dict[str, str], float]:
    """Conditions of one fault, and its rate."""
    names = draw(st.sets(st.sampled_from(sorted(VALUES)), max_size=2))
    return {name: draw(st.sampled_from(VALUES[name])) for name in sorted(names)}, draw(
        st.sampled_from([0.15, 0.4, 0.9, 1.0])
    )


def noisy(trouble: Trouble, seed: int, *, ratio: float = 0.005, calls: int = 30) -> list[Sample]:
    """Cells whose calls fail by chance."""
    drawn = random.Random(seed)
    found = []
    for cell in cells(
        "geo",
        versions=VALUES["version"],
        operations=VALUES["operation"],
        machines=VALUES["machine"],
        tenants=VALUES["tenant"],
        instances=2,
        calls=calls,
    ):
        rate, error = trouble(cell) or (ratio, "Stray")
        bad = sum(drawn.random() < rate for _ in range(cell.total))
        found.append(replace(cell, bad=bad, errors={error: bad} if bad else {}, since=AT))
    return found


@settings(max_examples=40, deadline=None)
@given(planted(), st.integers(0, 2**32))
def test_a_planted_fault_with_clear_evidence_is_found_exactly(fault: tuple[dict[str, str], float], seed: int) -> None:
    values, rate = fault
    expected = " ".join(
        ["geo", *(f"{name}={values[name]}" for name in ("version", "operation", "machine", "tenant") if name in values)]
    )
    assert blamed(noisy(where(rate, **values), seed)) == [expected]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.002, 0.01]))
def test_a_healthy_plugin_explains_nothing(seed: int, ratio: float) -> None:
    assert blamed(noisy(lambda cell: None, seed, ratio=ratio)) == []


@settings(max_examples=25, deadline=None)
@given(planted(), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_order_of_the_cells_does_not_matter(
    fault: tuple[dict[str, str], float], seed: int, drawn: random.Random
) -> None:
    found = noisy(where(fault[1], **fault[0]), seed)
    shuffled = list(found)
    drawn.shuffle(shuffled)
    assert explain(found, running=20) == explain(shuffled, running=20)


@settings(max_examples=25, deadline=None)
@given(planted(), st.integers(0, 2**32), st.integers(1, 2000))
def test_healthy_calls_never_widen_a_scope(fault: tuple[dict[str, str], float], seed: int, more: int) -> None:
    values, rate = fault
    found = noisy(where(rate, **values), seed)
    well = [cell for cell in found if where(**values)(cell) is None]
    (before,) = explain(found, running=20).faults
    (after,) = explain([*found, *(replace(cell, total=more, bad=0, errors={}) for cell in well)], running=20).faults
    assert set(before.scope.conditions) <= set(after.scope.conditions)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_healthy_plugins_change_nothing(seed: int) -> None:
    trouble = cells("geo", where(version="2"))
    healthy = [replace(cell, plugin="pdf", since=None) for cell in noisy(lambda cell: None, seed)]
    assert explain([*trouble, *healthy], running=2) == explain(trouble, running=2)


def test_nothing_suspicious_is_nothing_to_explain() -> None:
    assert explain([], running=1000) == Explanation()
    assert explain(cells("geo"), running=1000) == Explanation()
