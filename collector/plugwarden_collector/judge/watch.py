"""Where trouble is suspected: evidence for every stream that fails, brought forward by what arrived. Pure.

A stream is an operation of a plugin's version, for one objective; what is well is not in here at all. Parts of streams (a process, a
tenant) fail too rarely to show in the whole when they are small, so bad calls are counted for them, and they are looked at closer when
there are a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from plugwarden_collector.rules.objective import Objective

from .arrivals import Arrivals, Cell, Past, StreamCounts
from .evidence import ATTENTION_NATS, Suspicion, tolerated_ratio, update
from .sli import indicator_of

__all__ = ["PARTS", "RECENT", "StreamKey", "Suspect", "Watch", "look", "tolerated_of"]

PARTS = ("instance", "tenant")
"""Parts that bad calls are counted for by themselves; a machine and a service are seen through their processes."""
PART_FAILURES = 6
"""Bad calls of one part from which on it is looked at: as few as can ever be enough."""
PART_MEMORY = timedelta(seconds=60)
"""Bad calls of a part are counted together for this long; slower trouble shows in the whole, or is too small to act on."""
PART_AGAIN = 1.5
"""A part that was looked at in vain is looked at again when it has so many times the bad calls: looks grow with their logarithm."""
RECENT = timedelta(seconds=3)
"""What failed this lately still fails: sidecars tell of failures within half a second, and of all else within five."""
MAX_PARTS = 10_000
"""Parts that are counted at a time; a sender that names more than that is told apart no further."""
MAX_SUSPICIONS = 20_000

Usual = Mapping[tuple[str, str, str], Past]
"""What is usual, by plugin, version and operation."""


class StreamKey(NamedTuple):
    """One operation of one plugin version, held against one objective."""

    objective: str
    plugin: str
    version: str
    operation: str


class PartKey(NamedTuple):
    """One process or tenant of one operation."""

    plugin: str
    version: str
    operation: str
    part: str
    value: str


@dataclass(frozen=True, slots=True)
class PartCount:
    """Bad calls of a part."""

    since: datetime
    mark: int
    bad: int
    looked: int = 0
    """How many there were when it was looked at last."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A plugin that must be looked at closer, for one objective."""

    objective: str
    plugin: str
    since: datetime
    mark: int
    """Arrivals after this one belong to the trouble, in operations of which nothing else is said."""
    streams: Mapping[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)
    """What is suspected of it: (version, operation) -> the mark and the time that its own trouble began at."""


@dataclass(frozen=True, slots=True)
class Watch:
    """All that is suspected; what arrived up to `mark` is in it."""

    mark: int = 0
    streams: Mapping[StreamKey, Suspicion] = field(default_factory=dict)
    parts: Mapping[PartKey, PartCount] = field(default_factory=dict)
    recent: tuple[tuple[datetime, tuple[Cell, ...]], ...] = ()
    """Cells with bad calls that arrived lately."""
    at: datetime | None = None
    """When it was brought forward last."""

    def recent_cells(self) -> Iterable[Cell]:
        """Cells with bad calls of the last seconds."""
        for _, cells in self.recent:
            yield from cells

    def without(self, applies: Callable[[str, str, str], bool]) -> Watch:
        """Return the watch with a clean slate for some streams, by plugin, version and operation."""
        return replace(
            self,
            streams={
                key: item
                for key, item in self.streams.items()
                if not applies(key.plugin, key.version, key.operation)
            },
            parts={
                key: item for key, item in self.parts.items() if not applies(key.plugin, key.version, key.operation)
            },
        )


def look(
    watch: Watch,
    arrivals: Arrivals,
    objectives: Sequence[Objective],
    usual: Usual,
    at: datetime,
    judged: Callable[[str, str, str], bool],
) -> tuple[Watch, list[Suspect]]:
    """Return the watch with what arrived, and whoever must be looked at closer.

    `judged` tells for plugin, version and operation whether it is judged here at all: what is isolated or on probation as a whole is not.
    """
    streams = dict(watch.streams)
    thresholds = thresholds_of(objectives)
    for counts in arrivals.streams:
        if not judged(counts.plugin, counts.version, counts.operation):
            continue
        for objective in objectives:
            if objective.covers(counts.plugin):
                _bring_forward(streams, counts, objective, thresholds, usual, at, watch.mark)
    if len(streams) > MAX_SUSPICIONS:  # the strongest stay
        kept = sorted(streams.items(), key=lambda item: -item[1].nats)[:MAX_SUSPICIONS]
        streams = dict(kept)
    bad_cells = tuple(
        cell
        for cell in arrivals.cells
        if (cell.counts.failed or cell.refused) and judged(cell.plugin, cell.version, cell.operation)
    )
    parts, noticed = _count_parts(watch, bad_cells, at)
    recent = tuple(item for item in watch.recent if at - item[0] <= RECENT)
    if bad_cells:
        recent = (*recent, (at, bad_cells))
    after = Watch(arrivals.mark, streams, parts, recent, at)
    return after, _suspects(streams, noticed, objectives)


def tolerated_of(objective: Objective, thresholds: Sequence[int], past: Past | None) -> float:
    """Return the share of bad calls up to which a stream with such a past is left alone."""
    if past is None:
        usual = 0.0
    elif objective.threshold_index is None:
        usual = past.failed_ratio
    else:
        place = thresholds.index(objective.threshold_index)
        usual = past.slow_ratio[place] if place < len(past.slow_ratio) else 0.0
    return tolerated_ratio(objective, usual)


def thresholds_of(objectives: Sequence[Objective]) -> tuple[int, ...]:
    """Return the histogram buckets above which calls are slow, each once."""
    return tuple(sorted({item.threshold_index for item in objectives if item.threshold_index is not None}))


def bad_of(objective: Objective, thresholds: Sequence[int], counts: StreamCounts | Cell) -> int:
    """Return how many of the counted calls are bad for an objective."""
    if objective.threshold_index is None:
        return counts.counts.total - indicator_of(objective).good(counts.counts)
    place = thresholds.index(objective.threshold_index)
    return counts.slow[place] if place < len(counts.slow) else 0


def usual_of(usual: Usual, plugin: str, version: str, operation: str) -> Past | None:
    """Return what is usual for a stream; for a version without a past, what is usual for the operation in the plugin's others."""
    found = usual.get((plugin, version, operation))
    return found if found is not None else usual.get((plugin, "", operation))


def _bring_forward(
    streams: dict[StreamKey, Suspicion],
    counts: StreamCounts,
    objective: Objective,
    thresholds: Sequence[int],
    usual: Usual,
    at: datetime,
    mark: int,
) -> None:
    bad = bad_of(objective, thresholds, counts)
    key = StreamKey(objective.name, counts.plugin, counts.version, counts.operation)
    before = streams.get(key)
    if before is None and bad == 0:
        return
    if before is not None and counts.refused and not counts.counts.total:
        streams[key] = replace(before, bad_at=at)  # an open breaker keeps what it was opened for from being seen
        return
    past = usual_of(usual, counts.plugin, counts.version, counts.operation)
    after = update(before, counts.counts.total, bad, tolerated_of(objective, thresholds, past), at, mark)
    if after is None:
        streams.pop(key, None)
    else:
        streams[key] = after


def _count_parts(
    watch: Watch, cells: Sequence[Cell], at: datetime
) -> tuple[dict[PartKey, PartCount], dict[PartKey, PartCount]]:
    """Return the counts, and those of them that must be looked at."""
    parts = {key: item for key, item in watch.parts.items() if at - item.since <= PART_MEMORY}
    noticed: dict[PartKey, PartCount] = {}
    for cell in cells:
        if not cell.counts.failed:
            continue
        for part in PARTS:
            value = str(getattr(cell, part))
            if not value:
                continue
            key = PartKey(cell.plugin, cell.version, cell.operation, part, value)
            before = parts.get(key)
            if before is None:
                if len(parts) >= MAX_PARTS:
                    continue
                before = PartCount(at, watch.mark, 0)
            parts[key] = replace(before, bad=before.bad + cell.counts.failed)
    for key, item in parts.items():
        if item.bad >= max(PART_FAILURES, PART_AGAIN * item.looked):
            noticed[key] = parts[key] = replace(item, looked=item.bad)
    return parts, noticed


def _suspects(
    streams: Mapping[StreamKey, Suspicion], noticed: Mapping[PartKey, PartCount], objectives: Sequence[Objective]
) -> list[Suspect]:
    began: dict[tuple[str, str], dict[tuple[str, str], tuple[int, datetime]]] = {}
    for key, item in streams.items():
        if item.nats >= ATTENTION_NATS:
            lead = item.lead
            began.setdefault((key.objective, key.plugin), {})[key.version, key.operation] = (lead.mark, lead.since)
    for part, count in noticed.items():
        for objective in objectives:
            # Slowness is not told of parts; streams that are slow are seen as a whole.
            if objective.threshold_index is None and objective.covers(part.plugin):
                marks = began.setdefault((objective.name, part.plugin), {})
                marks.setdefault((part.version, part.operation), (count.mark, count.since))
    found = []
    for (name, plugin), marks in sorted(began.items()):
        mark, since = min(marks.values())
        found.append(Suspect(name, plugin, since, mark, marks))
    return found
