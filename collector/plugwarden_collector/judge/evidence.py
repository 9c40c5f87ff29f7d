"""Is this stream of calls worse than it may be? Evidence that is valid however often one looks.

An e-detector (Shin, Ramdas and Rinaldo 2024, arXiv 2203.03532): one CUSUM of likelihood ratios for each of a few failing shares, mixed
with equal weights. While a stream fails no more often than is tolerated, the mean time until the evidence passes a level of e^h is at
least e^h looks; a single failure is worth a few nats, so that no number of calls is ever the minimum: the less a failure is to be
expected, the fewer of them say enough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from plugwarden_collector.rules.objective import Objective, Sli

__all__ = ["ATTENTION_NATS", "Line", "Suspicion", "Verdict", "agree", "tolerated_ratio", "update", "verdict"]

ALTERNATIVES = (0.05, 0.15, 0.4, 0.8, 0.98)
"""Failing shares that a fault is looked for at, as parts of the way from what is tolerated to everything: slow burns to outages."""
ATTENTION_NATS = 5.0
"""Evidence from which on it is asked where a trouble is: e^5 is 150 looks, half a minute of an ordinary stream, so that what is looked
at closer is known already when it is time to act, and a look costs little."""
PAGING_FACTOR = 14.4
"""Burn rate that wakes people (SRE workbook, chapter 5, table 5-8): what burns slower is no reason to isolate anything."""
MOST_OF_OBJECTIVE = {Sli.AVAILABILITY: 0.05, Sli.LATENCY: 0.15}
"""A plugin that fails less often than this is never isolated for an objective that allows less: refusing it costs more calls. A slow call
is still an answer, and all of a busy host's are slower."""
ABOVE_OBJECTIVE = 1.5
"""Objectives that allow much: failing half as often again as they allow."""
ABOVE_PAST = 2.0
"""Twice as often as usual."""
WELL_AGAIN_NATS = 12.0
"""Evidence that a stream is well again, from which on nothing is held against it: once in 160,000 looks at one that still fails. Without
it, what failed for an hour would look ill for many more, as good calls say less against a small fault than bad ones for it."""
MOST_WELL_NATS = 2 * WELL_AGAIN_NATS
"""More is not counted, so that a few failures after a lump of good calls are enough for doubt."""
WELL_AGAIN_FOR = timedelta(seconds=6)
"""So long it must stay so: good calls come in lumps, for sidecars tell of them every five seconds, and of failures at once."""
OF_BEFORE = timedelta(seconds=1)
"""So soon after the first bad calls, reports without any are of the time before: where calls fail, sidecars tell at once, and first what
went well until then; of all else they tell every five seconds."""
OTHERS_DOUBT = 0.3
"""Where several processes tell, each of them may be left out, and the others say the same with this doubt: none of them alone can
make a scope look well, or keep it isolated."""
LEAST_TOLERATED = 0.01
MOST_TOLERATED = 0.9


class Line(NamedTuple):
    """The evidence for one alternative."""

    nats: float
    since: datetime
    """When the first of the calls came that make it up."""
    mark: int
    """Arrivals after this one are those calls."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What speaks against one stream, since it last looked well. Its absence says that nothing does."""

    lines: tuple[Line, ...]
    """One for each of `ALTERNATIVES`; at least one is above 0."""
    bad_at: datetime
    """When the last bad call came."""
    well_nats: float = 0.0
    """Logarithm of the e-value of the opposite: that it is well by now, against the alternative that leads."""
    well_since: datetime | None = None
    """Since when that is beyond doubt; None while it is not."""

    @property
    def nats(self) -> float:
        """Logarithm of the e-value of the mixture."""
        most = max(line.nats for line in self.lines)
        return most + math.log(sum(math.exp(line.nats - most) for line in self.lines) / len(self.lines))

    @property
    def lead(self) -> Line:
        """The alternative that explains the calls best: its beginning is when the trouble began."""
        return max(self.lines, key=lambda line: line.nats)


def tolerated_ratio(objective: Objective, usual_ratio: float) -> float:
    """Return the share of bad calls up to which a stream is left alone: above what its objective tolerates, and what is usual for it."""
    allowed = 1.0 - objective.target_ratio
    found = max(
        min(PAGING_FACTOR * allowed, MOST_OF_OBJECTIVE[objective.sli]),
        ABOVE_OBJECTIVE * allowed,
        ABOVE_PAST * usual_ratio,
        LEAST_TOLERATED,
    )
    return min(found, MOST_TOLERATED)


def update(
    before: Suspicion | None, total: int, bad: int, tolerated: float, at: datetime, mark: int
) -> Suspicion | None:
    """Return what speaks against a stream once `total` more calls came, `bad` of them bad; `mark` is of the arrivals before them."""
    if before is None and bad == 0:
        return None
    lines, suspicious = [], False
    for place, (of_bad, of_good) in enumerate(_steps(tolerated)):
        line = before.lines[place] if before is not None else None
        step = bad * of_bad + (total - bad) * of_good
        if line is not None and not bad and at - line.since < OF_BEFORE:
            step = 0.0
        if line is None or line.nats <= 0.0:
            line = Line(step, at, mark)
        else:
            line = line._replace(nats=line.nats + step)
        suspicious = suspicious or line.nats > 0.0
        lines.append(line)
    if not suspicious:
        return None
    if before is None:
        return Suspicion(tuple(lines), at)
    after = Suspicion(tuple(lines), at if bad else before.bad_at)
    leads = before.lines.index(before.lead)
    if after.lines.index(after.lead) != leads:
        return after  # what was said against one alternative says nothing against another
    if not bad and at - after.lead.since < OF_BEFORE:
        return after
    of_bad, of_good = _steps(tolerated)[leads]
    gain = -bad * of_bad - (total - bad) * of_good
    well_nats = min(max(0.0, before.well_nats + gain), MOST_WELL_NATS)
    well_since = (before.well_since or at) if well_nats >= WELL_AGAIN_NATS else None
    if well_since is not None and at - well_since >= WELL_AGAIN_FOR:
        return None
    return replace(after, well_nats=well_nats, well_since=well_since)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What calls that were let through say: positive for well, negative for not well."""

    nats: float
    """Logarithm of how much likelier the calls are if the stream is well."""

    def well(self, doubt: float) -> bool:
        """Whether a stream that is not well would look like this with a chance of `doubt` at most (Wald 1945)."""
        return self.nats >= -math.log(doubt)

    def unwell(self, doubt: float) -> bool:
        """The same the other way round."""
        return self.nats <= math.log(doubt)


def verdict(total: int, bad: int, well_ratio: float, unwell_ratio: float) -> Verdict:
    """Weigh calls by Wald's sequential test between the share of bad calls of a stream that is well and of one that is not.

    However often one looks, the chance of a wrong answer stays what was asked for. `well_ratio` is below `unwell_ratio`.
    """
    if total <= 0:
        return Verdict(0.0)
    of_bad = math.log(well_ratio / unwell_ratio)
    of_good = math.log((1.0 - well_ratio) / (1.0 - unwell_ratio))
    return Verdict(bad * of_bad + (total - bad) * of_good)


def agree(told: Mapping[str, tuple[int, int]], ratios: tuple[float, float], doubt: float, *, well: bool) -> bool:
    """Whether all processes together say that a scope is well, or that it is not, and still do, less surely, without any one of them.

    `told` is (all calls, bad calls) by process, `ratios` are those of `verdict`.
    """

    def says(total: int, bad: int, sure: float) -> bool:
        found = verdict(total, bad, *ratios)
        return found.well(sure) if well else found.unwell(sure)

    total, bad = sum(item[0] for item in told.values()), sum(item[1] for item in told.values())
    if not says(total, bad, doubt):
        return False
    others = max(doubt, OTHERS_DOUBT)
    return len(told) < 2 or all(says(total - calls, bad - failed, others) for calls, failed in told.values())


@lru_cache(maxsize=4096)
def _steps(tolerated: float) -> tuple[tuple[float, float], ...]:
    """Nats that one bad and one good call add, for each alternative."""
    found = []
    for part in ALTERNATIVES:
        ratio = tolerated + (1.0 - tolerated) * part
        found.append((math.log(ratio / tolerated), math.log((1.0 - ratio) / (1.0 - tolerated))))
    return tuple(found)
