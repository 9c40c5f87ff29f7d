"""Evidence of a hard failure: how much better "nearly every call fails now" explains the last calls than the operation's
own past does. Pure functions of (evidence, what came since, time).

It is Page's cumulative sum (E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954) over log-likelihood ratios,
between two hypotheses about each call:

- ordinary: it fails as calls of this operation have failed so far. Failures come in clusters, so the past is a chain of
  two states (Gilbert's): a call fails with one probability after a success, and with another after a failure.
- hard failure: it fails with probability `HARD_FAILURE_RATE`.

The sum never goes below zero, so a long healthy past weighs nothing against a failure that begins now. On an ordinary
stream the sum reaches a bound b within n calls with a probability of n / exp(b) at most, whatever its rate and its
clusters, as far as the past is known (Doob's inequality; G. Lorden, Annals of Mathematical Statistics 42, 1971). That is
why an operation that ordinarily fails often needs more failures than one that hardly ever does.

A success only ever lowers the sum, so it is looked at when a call fails, and successes between two failures are taken
off all at once: the answer is the same, and a success costs nothing.

What is assumed, and what that means:

- Of an operation nobody knows yet, one call in ten fails (`FIRST_RATE`).
- No past is better than `LEAST_RATE`, and after a failure the next call fails with a probability of `LEAST_CLUSTERING` at
  least: so a single cluster of seven does not open a breaker, and no number of decimals in a past makes two enough.
- Clusters are as long as a chain makes them, that is, short ones are more frequent than long ones. An outage of two
  seconds is no cluster but a hard failure that ended by itself.
- Suspected calls are learned as ordinary only when the suspicion has passed: a failure cannot make itself ordinary.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = [
    "FIRST_RATE",
    "HARD_FAILURE_RATE",
    "LEAST_CLUSTERING",
    "LEAST_RATE",
    "MEMORY_CALLS",
    "Evidence",
    "after_failure",
    "cleared",
    "dismissed",
    "is_hard",
]

HARD_FAILURE_RATE = 0.9
"""A hard failure fails nine calls of ten: with one success among them it is still seen."""
FIRST_RATE = 0.1
"""Failure ratio that is assumed of operations without a past, until `PRIOR_CALLS` calls weigh as much as this."""
LEAST_RATE = 0.01
"""No past is taken to be better: else three failures among three successes, after a year without one, would weigh as
much as eight in a row, and a plugin that begins to fail three calls of ten would be taken for one that fails them all."""
LEAST_CLUSTERING = 0.1
PRIOR_CALLS = 20.0
PRIOR_FAILURES = 100.0
"""What is assumed of clusters weighs as much as this many failures: a single run of seven is not yet a habit."""
MEMORY_CALLS = 20_000.0
"""The past fades: what was that many calls ago weighs a third (1/e)."""
MEMORY_FAILURES = 1_000.0
"""Clusters are remembered by failures, which are few where an operation is healthy."""


class Evidence(NamedTuple):
    """What is known of one operation, and what is suspected. A tuple, because each failed call makes one."""

    weight: float = 0.0
    """Natural logarithm of how much better a hard failure explains the suspected calls; never below 0."""
    calls: int = 0
    """Suspected calls: those since the weight was last 0."""
    failures: int = 0
    """How many of them failed."""
    clustered: int = 0
    """How many of those came directly after another failure."""
    at: float = 0.0
    """When the last call failed (seconds of a monotonic clock)."""
    past_successes: float = 0.0
    """Ordinary calls that succeeded, fading by calls."""
    past_begun: float = 0.0
    """Ordinary calls that failed after one that succeeded, fading by calls."""
    past_failures: float = 0.0
    """Ordinary calls that failed, fading by failures."""
    past_clustered: float = 0.0
    """Ordinary calls that failed after another that did, fading by failures."""

    @property
    def rate(self) -> float:
        """The probability that a call fails after a success, ordinarily; in [LEAST_RATE, 1)."""
        return _rate(self.past_successes, self.past_begun)

    @property
    def clustering(self) -> float:
        """The probability that a call fails after a failure, ordinarily; in [LEAST_CLUSTERING, 1)."""
        return _clustering(self.past_failures, self.past_clustered, self.rate)

    @property
    def ordinary_ratio(self) -> float:
        """The share of calls that ordinarily fail, in (0, 1): where the chain comes to rest."""
        rate = self.rate
        return rate / (rate + 1 - self.clustering)


def after_failure(known: Evidence, successes: int, at: float, *, fades_seconds: float) -> Evidence:
    """What is known once a call has failed at `at`, `successes` calls after the failure before it.

    A suspicion whose last failure is longer ago than `fades_seconds` is forgotten: nobody knows how it went on.
    """
    weight, calls, failures, clustered, last, good, begun, bad, joined = known
    if weight > 0:
        rate = _rate(good, begun)
        clustering = _clustering(bad, joined, rate)
        if successes > 0:
            weight -= _loss(clustering)
            if successes > 1 and weight > 0:
                weight -= (successes - 1) * _loss(rate)
            ordinary, joins = rate, 0
        else:
            successes, ordinary, joins = 0, clustering, 1
        if weight > 0 and at - last <= fades_seconds:
            weight += math.log(HARD_FAILURE_RATE / ordinary)
            if weight < 0:
                weight = 0.0
            return Evidence(
                weight, calls + successes + 1, failures + 1, clustered + joins, at, good, begun, bad, joined
            )
    known = dismissed(known if weight <= 0 else cleared(known), successes)
    good, begun, bad, joined = known[5:]
    weight = max(0.0, math.log(HARD_FAILURE_RATE / _rate(good, begun)))
    return Evidence(weight, 1, 1, 0, at, good, begun, bad, joined)


def is_hard(known: Evidence, *, bound: float, failure_rate: float) -> bool:
    """Whether it is a hard failure: the weight reaches `bound`, and of the suspected calls `failure_rate` failed."""
    return known.weight >= bound and known.failures >= failure_rate * known.calls


def dismissed(known: Evidence, successes: int = 0) -> Evidence:
    """The suspicion passed: its calls, and `successes` more, are part of the ordinary past now."""
    _, calls, failures, clustered, at, good, begun, bad, joined = known
    good += calls - failures + max(0, successes)
    begun += failures - clustered
    bad += failures
    joined += clustered
    if good + begun > MEMORY_CALLS:
        fade = MEMORY_CALLS / (good + begun)
        good, begun = good * fade, begun * fade
    if bad > MEMORY_FAILURES:
        fade = MEMORY_FAILURES / bad
        bad, joined = bad * fade, joined * fade
    return Evidence(0.0, 0, 0, 0, at, good, begun, bad, joined)


def cleared(known: Evidence) -> Evidence:
    """The suspicion was right, or is not ours to judge: its calls are forgotten, the past stays."""
    return Evidence(0.0, 0, 0, 0, *known[4:])


def _rate(good: float, begun: float) -> float:
    rate = (begun + PRIOR_CALLS * FIRST_RATE) / (good + PRIOR_CALLS)
    return rate if rate > LEAST_RATE else LEAST_RATE


def _clustering(bad: float, joined: float, rate: float) -> float:
    prior = rate if rate > LEAST_CLUSTERING else LEAST_CLUSTERING
    clustering = (joined + PRIOR_FAILURES * prior) / (bad + PRIOR_FAILURES)
    return clustering if clustering > LEAST_CLUSTERING else LEAST_CLUSTERING


def _loss(probability: float) -> float:
    """What a success takes off, where a failure had this probability; never below 0, which errs towards caution."""
    good = 1 - probability
    return math.log(good / (1 - HARD_FAILURE_RATE)) if good > 1 - HARD_FAILURE_RATE else 0.0
