"""Where latency bends: found where it was seen, not made up where it was not."""

from __future__ import annotations

import numpy as np
import pytest
from plugwarden_collector.capacity.ceiling import LEAST_STEPS, Bend, LoadStep, ceiling_of

from tests.collector.support.grown_load import queue_steps


def steps(seed: int, most_ratio: float, minutes: int = 2000) -> tuple[list[LoadStep], float]:
    rate, seconds, truth = queue_steps(seed, most_ratio, minutes)
    return [LoadStep(float(a), float(b)) for a, b in zip(rate, seconds, strict=True)], truth


@pytest.mark.parametrize("seed", range(4))
def test_a_bend_that_was_seen_is_found_within_its_interval(seed: int) -> None:
    seen, truth = steps(seed, 1.0)
    found = ceiling_of(seen)
    assert found.bend in (Bend.SEEN, Bend.NEAR)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= truth <= found.high
    assert found.calls_per_second == pytest.approx(truth, rel=0.25)


@pytest.mark.parametrize(("power", "noise", "kept"), [(2, 0.08, 0.0), (3, 0.3, 0.95)])
def test_the_interval_holds_the_truth_however_many_minutes_there_are(power: int, noise: float, kept: float) -> None:
    """Time bends as a power of load and doubles at 1; slow minutes hang together. Minutes drawn one by one say that it is known to a
    hundredth, which is less than a class of load tells."""
    held = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        minute = np.arange(1500)
        load = 1.4 * (0.05 + 0.95 * np.sin(np.pi * minute / 300) ** 2 * rng.uniform(0.8, 1, len(minute)))
        noises = rng.normal(size=len(minute))
        for number in minute[1:]:
            noises[number] = kept * noises[number - 1] + np.sqrt(1 - kept**2) * noises[number]
        slow = 0.1 * (1 + load**power) * np.exp(noise * noises)
        found = ceiling_of([LoadStep(float(a), float(b)) for a, b in zip(load, slow, strict=True)])
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= 1.0 <= found.high)
    assert sum(held) >= 3


def test_where_the_rise_may_not_double_at_all_there_is_no_upper_end() -> None:
    """Latency is half as long again from some load on, and stays there: some draws reckon a ceiling from it, and others none."""
    rng = np.random.default_rng(3)
    load = rng.uniform(1, 50, 240)
    slow = 0.1 * np.where(load > 25, 1.45, 1.0) * np.exp(rng.normal(0, 0.25, 240))
    found = ceiling_of([LoadStep(float(a), float(b)) for a, b in zip(load, slow, strict=True)])
    assert (found.bend, found.high) == (Bend.NEAR, None)
    assert found.low is not None
    assert found.calls_per_second is not None
    assert found.low < found.calls_per_second


@pytest.mark.parametrize("seed", range(4))
def test_where_load_never_came_near_no_number_is_made_up(seed: int) -> None:
    seen, _ = steps(seed, 0.6)
    found = ceiling_of(seen)
    assert found.bend is Bend.NOT_SEEN
    assert (found.calls_per_second, found.low, found.high, found.concurrency) == (None, None, None, None)
    assert found.most_seen == max(step.calls_per_second for step in seen)
    assert "does not bend up to" in found.reason


def test_slow_minutes_are_no_bend() -> None:
    """They raise concurrency by themselves, whatever the load: against it, every noise would bend."""
    rng = np.random.default_rng(1)
    seen = [
        LoadStep(float(a), float(b))
        for a, b in zip(rng.uniform(1, 50, 2000), np.exp(rng.normal(-3, 0.5, 2000)), strict=True)
    ]
    assert ceiling_of(seen).bend is Bend.NOT_SEEN


def test_few_minutes_say_nothing() -> None:
    seen, _ = steps(1, 1.0, LEAST_STEPS - 1)
    found = ceiling_of([*seen, LoadStep(0.0, 0.0)])
    assert (found.bend, found.reason) == (
        Bend.UNKNOWN,
        f"{LEAST_STEPS - 1} minutes with calls; {LEAST_STEPS} are the least",
    )
    assert ceiling_of([]).bend is Bend.UNKNOWN


def test_the_same_minutes_have_the_same_interval() -> None:
    seen, _ = steps(2, 1.0)
    assert ceiling_of(seen) == ceiling_of(seen)
