"""Bad calls of parts of streams: a process, a tenant. A small part fails too rarely to show in the whole. Pure.

Of a part only its bad calls are known here, and when they came. That is enough to say when they became more: the moment that splits
them best into fewer before and more after (a likelihood ratio of two Poisson rates), from which on the part is then looked at closer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf, log
from typing import NamedTuple

from .arrivals import Cell

__all__ = ["MAX_PARTS", "PARTS", "PART_FAILURES", "BreakerKey", "PartCount", "PartKey", "Rise", "count_parts", "rises"]

PARTS = ("instance", "tenant")
"""Parts that bad calls are counted for by themselves; a machine and a service are seen through their processes."""
PART_FAILURES = 6
"""Bad calls of one part from which on it is looked at: as few as can ever be enough."""
PART_GAP = timedelta(seconds=30)
"""Bad calls of a part are counted together until none came for so long. What is slower shows in the whole, or is too small to act on."""
PART_AGAIN = 1.5
"""A part that was looked at in vain is looked at again when it has so many times the bad calls: looks grow with their logarithm."""
COMPANY_LATELY = timedelta(seconds=10)
"""They count for so long: of a trouble that is over, strays are left."""
COMPANY_FAILURES = 3
"""Bad calls of a part from which on it is looked at where another plugin's is that has its name: the place may be what they share."""
RISE_NATS = 5.0
"""Nats from which on a part fails more often than before, and is looked at anew: chance shows a rise like this once in 150 times."""
MAX_PARTS = 10_000
"""Parts that are counted at a time; a sender that names more than that is told apart no further."""
MOST_STEPS = 16
"""Moments of a part between which its bad calls are told apart."""
TELLING_SECONDS = 0.5
"""Sidecars gather failures for so long: the shortest time that a rate is of."""

BreakerKey = tuple[str, str, str, str]
"""Plugin, version, operation and process."""


class PartKey(NamedTuple):
    """One process or tenant of one operation."""

    plugin: str
    version: str
    operation: str
    part: str
    value: str


class Step(NamedTuple):
    """A moment at which bad calls of a part came."""

    at: datetime
    mark: int
    """Arrivals after this one are those calls, and what came later."""
    before: int
    """Bad calls that had come by then."""


class Rise(NamedTuple):
    """When the bad calls of a part became more."""

    step: Step
    bad: int
    """Bad calls since then."""
    nats: float
    """How much better two rates, one before and one since, explain the bad calls than one."""


@dataclass(frozen=True, slots=True)
class PartCount:
    """Bad calls of a part."""

    steps: tuple[Step, ...]
    """Some of the moments at which they came, the first of all first."""
    bad_at: datetime
    """When the last of them came."""
    bad: int
    looked: int = 0
    """How many there were when it was looked at last."""
    weighed: int = 0
    """How many there were when it was asked last whether they became more."""

    @property
    def since(self) -> datetime:
        """When the first of them came."""
        return self.steps[0].at

    def since_then(self, moment: datetime) -> int:
        """Return how many came from a moment on, as far as its steps tell."""
        if self.bad_at < moment:
            return 0
        return self.bad - next((step.before for step in self.steps if step.at >= moment), self.bad)

    def rise(self, at: datetime) -> Rise:
        """Return the moment that tells fewer bad calls before it from more since; the first one, where none does better.

        None came in the `PART_GAP` before the first, so that a trouble without a past is one since then.
        """
        first, best = self.steps[0], Rise(self.steps[0], self.bad, -inf)
        for step in self.steps:
            passed = (step.at - first.at + PART_GAP).total_seconds()
            left = (at - step.at).total_seconds() + TELLING_SECONDS
            since = self.bad - step.before
            if since * passed > step.before * left:
                nats = since * log(since / left) + (step.before * log(step.before / passed) if step.before else 0.0)
                if nats > best.nats:
                    best = Rise(step, since, nats)
        whole = (at - first.at + PART_GAP).total_seconds() + TELLING_SECONDS
        return best._replace(nats=best.nats - self.bad * log(self.bad / whole))


def count_parts(
    parts: Mapping[PartKey, PartCount],
    cells: Iterable[Cell],
    shut: Mapping[BreakerKey, int],
    at: datetime,
    mark: int,
    waiting: frozenset[str],
) -> tuple[dict[PartKey, PartCount], set[PartKey]]:
    """Return the counts with what arrived, and the parts that must be looked at.

    `shut` are bad calls that open breakers stand for, `mark` the arrivals before these; plugins in `waiting` are looked at each time.
    """
    counts = {key: item for key, item in parts.items() if at - item.bad_at <= PART_GAP}
    left = dict(shut)
    for cell in cells:
        bad = cell.counts.failed + left.pop((cell.plugin, cell.version, cell.operation, cell.instance), 0)
        if not bad:
            continue
        for part in PARTS:
            value = str(getattr(cell, part))
            if not value:
                continue
            key = PartKey(cell.plugin, cell.version, cell.operation, part, value)
            before = counts.get(key)
            if before is not None:
                steps = before.steps if before.bad_at == at else _with_step(before, Step(at, mark, before.bad))
                counts[key] = replace(before, steps=steps, bad=before.bad + bad, bad_at=at)
            elif len(counts) < MAX_PARTS:
                counts[key] = PartCount((Step(at, mark, 0),), at, bad)
    noticed: set[PartKey] = set()
    for key, item in counts.items():
        if item.bad < PART_FAILURES:
            continue
        enough = item.bad >= PART_AGAIN * item.looked
        if not enough and item.bad - item.weighed >= PART_FAILURES:
            rise = item.rise(at)
            enough = rise.nats >= RISE_NATS and rise.bad >= PART_FAILURES and rise.step.before >= item.looked
            counts[key] = replace(item, weighed=item.bad)
        if enough:
            counts[key] = replace(item, looked=item.bad, weighed=item.bad)
        if enough or (item.looked and key.plugin in waiting):
            noticed.add(key)
    places = {key[3:] for key in noticed}
    lately = at - COMPANY_LATELY
    company = {
        key
        for key, item in counts.items()
        if item.bad >= COMPANY_FAILURES and key[3:] in places and item.since_then(lately) >= COMPANY_FAILURES
    }
    return counts, noticed | company


def rises(
    parts: Mapping[PartKey, PartCount], noticed: Iterable[PartKey], at: datetime
) -> dict[tuple[str, str, str], Rise]:
    """Return when the trouble of streams with parts that must be looked at began, by plugin, version and operation.

    Of a stream's processes and of its tenants those with most bad calls are asked, and the clearest rise tells. A stream that has but
    strays is left out where another of its plugin has more: its calls since its last stray would show little of it.
    """
    streams = {key[:3] for key in noticed}
    most: dict[tuple[tuple[str, str, str], str], PartCount] = {}
    for key, item in parts.items():
        if key[:3] in streams:
            other = most.get((key[:3], key.part))
            if other is None or (item.bad, item.since) > (other.bad, other.since):
                most[key[:3], key.part] = item
    found: dict[tuple[str, str, str], Rise] = {}
    clearest: dict[str, float] = {}
    for (stream, _), item in most.items():
        rise = item.rise(at)
        clearest[stream[0]] = max(rise.nats, clearest.get(stream[0], rise.nats))
        if stream not in found or rise.nats > found[stream].nats:
            found[stream] = rise
    return {
        stream: rise for stream, rise in found.items() if rise.nats >= RISE_NATS or rise.nats >= clearest[stream[0]]
    }


def _with_step(count: PartCount, step: Step) -> tuple[Step, ...]:
    """Return the steps with one more; of too many, the one goes that bends the curve of bad calls least (Visvalingam 1993)."""
    steps = (*count.steps, step)
    if len(steps) <= MOST_STEPS:
        return steps
    straight = min(range(1, len(steps) - 1), key=lambda place: _bend(*steps[place - 1 : place + 2]))
    return steps[:straight] + steps[straight + 1 :]


def _bend(one: Step, middle: Step, other: Step) -> float:
    """Return twice the area between three steps, in seconds times bad calls."""
    width, height = (other.at - one.at).total_seconds(), other.before - one.before
    return abs(width * (middle.before - one.before) - height * (middle.at - one.at).total_seconds())
