"""Distributions that are added up keep their quantiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.latency import Distribution, added, quantile


@given(st.lists(st.floats(0.0001, 100), min_size=1), st.lists(st.floats(0.0001, 100), min_size=1))
def test_what_was_added_has_the_quantiles_of_what_was_added(first: list[float], second: list[float]) -> None:
    times = Distribution()
    for value in first:
        times.observe(value)
    before = times.counts()
    for value in second:
        times.observe(value)
    found = quantile(added(times.counts(), before), 0.5)
    exact = sorted(second)[max(0, -(-len(second) // 2) - 1)]
    assert found == pytest.approx(exact, rel=0.023)
    edges = times.cumulative()
    assert [count for _, count in edges] == sorted(count for _, count in edges)
    assert edges[-1] == ("+Inf", len(first) + len(second))
    for edge, count in edges[:-1]:
        assert count == pytest.approx(sum(value <= float(edge) for value in first + second), abs=0)
