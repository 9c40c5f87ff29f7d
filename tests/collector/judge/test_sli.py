"""SLIs: which calls are good, and what is said of the others."""

from __future__ import annotations

import ast

import plugwarden_collector
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.judge.arrivals import StreamCounts
from plugwarden_collector.judge.burn import burns
from plugwarden_collector.judge.sli import Availability, CallCounts, Latency, indicator_of
from plugwarden_collector.judge.watch import bad_of, thresholds_of
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.saturation import LimitedResource, Saturation

from tests.collector.support.sources import modules_of


def objective(sli: Sli) -> Objective:
    threshold = 0.25 if sli is Sli.LATENCY else None
    full = Saturation(LimitedResource.CONCURRENCY, 0.8) if sli is Sli.SATURATION else None
    return Objective("o", sli, 0.99, 21_600.0, threshold_seconds=threshold, saturation=full)


@pytest.mark.parametrize("sli", Sli)
def test_every_sli_that_a_rules_file_may_name_is_judged(sli: Sli) -> None:
    indicator = indicator_of(objective(sli))
    assert indicator.good(CallCounts(100)) == 100
    assert indicator.why()


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_availability_counts_failures_and_latency_slowness(total: int, failed: int, slow: int) -> None:
    counts = CallCounts(total, failed=min(total, failed), slow=min(total, slow))
    assert Availability().good(counts) == total - counts.failed
    assert Latency(0.25).good(counts) == total - counts.slow


def test_what_is_said_of_bad_calls_names_the_threshold() -> None:
    assert Availability().why() == "calls failed"
    assert Latency(0.25).why() == "calls took longer than 250 ms"


def test_a_slow_call_burns_the_budget_of_latency_alone() -> None:
    for sli, met in ((Sli.AVAILABILITY, False), (Sli.LATENCY, True)):
        found = burns(objective(sli), dict.fromkeys(objective(sli).windows, CallCounts(100, slow=90)))
        assert any(burn.met for burn in found) == met


@pytest.mark.parametrize("bad", [{"failed": 9}, {"slow": 9}])
def test_a_stream_is_judged_by_what_each_sli_counts(bad: dict[str, int]) -> None:
    """Failures are told with the counts, slowness with each threshold that an objective asks for."""
    objectives = [item for item in map(objective, Sli) if item.isolates]
    thresholds = thresholds_of(objectives)
    slow = (bad.get("slow", 0),) * len(thresholds)
    counts = StreamCounts("csv", "1", "x", CallCounts(100, failed=bad.get("failed", 0)), 0, slow)
    for item in objectives:
        of_slowness = item.threshold_index is not None
        assert bad_of(item, thresholds, counts) == (9 if of_slowness == ("slow" in bad) else 0)


def test_nothing_branches_on_the_kind_of_an_sli() -> None:
    """Comparing with `Sli.…` outside the table of kinds is a place that one more kind would be forgotten in."""
    found = []
    for path, tree in modules_of(plugwarden_collector):
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                operands = [node.left, *node.comparators]
                if any(isinstance(item, ast.Attribute) and ast.unparse(item.value) == "Sli" for item in operands):
                    found.append(f"{path}:{node.lineno}")
    assert found == []
