"""How likely plugins begin to fail together by accident, and how likely for one reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import comb, exp, log

__all__ = ["FAULT_PERIOD", "INCIDENT_PERIOD", "TOGETHER", "chance_together", "shared_odds_nats"]

FAULT_PERIOD = timedelta(days=90)
"""Time after which a plugin has a fault of its own, on average. An assumption, and a cautious one: the more often plugins break, the
more easily two of them break together by accident."""
INCIDENT_PERIOD = timedelta(days=30)
"""Time after which a fleet has an incident that hits several plugins, on average. An assumption of the same kind."""
TOGETHER = timedelta(seconds=60)
"""Time within which the plugins that one cause hits show it: hosts export every five seconds, and a plugin that is seldom called
fails when it is called."""


def chance_together(onsets: Sequence[datetime], running: int) -> float:
    """Return the probability that as many plugins begin to fail within the same time by accident, once the first has.

    The onsets of the others among `running` plugins come as a Poisson process, each plugin's at `FAULT_PERIOD`.
    """
    others = len(onsets) - 1
    if others <= 0:
        return 1.0
    span = max(max(onsets) - min(onsets), TOGETHER)
    mean = max(running - 1, others) * 2 * (span / FAULT_PERIOD)
    term, below = exp(-mean), 0.0
    for count in range(others):
        below += term
        term *= mean / (count + 1)
    # The tail is summed from its head: one minus the rest would lose all digits of a small probability.
    tail, count = 0.0, others
    while term > tail * 1e-12:
        tail += term
        count += 1
        term *= mean / count
    return min(1.0, tail)


def shared_odds_nats(hit: int, running: int) -> float:
    """Return the log-odds that plugins which began within `TOGETHER` did so for one reason and not for one each.

    For one reason: an incident, of a size that is the rarer the larger it is, hits just these of those that run. For one reason
    each: the first has a fault, and each of the others has one in the same two minutes.
    """
    if hit < 2:
        return float("-inf")
    running = max(running, hit)
    prior = log(FAULT_PERIOD / INCIDENT_PERIOD / running)
    size = -log(hit * (hit - 1))  # sums to 1 over all sizes from 2
    which = -log(comb(running - 1, hit - 1))
    alone = (hit - 1) * log(2 * (TOGETHER / FAULT_PERIOD))
    return prior + size + which - alone
