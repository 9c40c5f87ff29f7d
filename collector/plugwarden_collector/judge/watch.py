"""Where trouble is suspected: evidence for every stream that fails, brought forward by what arrived. Pure.

A stream is an operation of a plugin's version, for one objective; what is well is not in here at all. Parts of streams (a process, a
tenant) fail too rarely to show in the whole when they are small, so bad calls are counted for them, and they are looked at closer when
there are a few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from plugwarden_collector.rules.objective import Objective

from .arrivals import Arrivals, Cell, Past, StreamCounts
from .evidence import ATTENTION_NATS, Line, Suspicion, tolerated_ratio, update
from .parts import MAX_PARTS, BreakerKey, PartCount, PartKey, Rise, count_parts, rises
from .sli import indicator_of

__all__ = ["COMPANY_NATS", "RECENT", "Began", "StreamKey", "Suspect", "Watch", "bad_by_process", "look", "tolerated_of"]

COMPANY_NATS = 2.0
"""Where anything is looked at, so is what else has a little evidence against it: others that began to fail at the same time."""
REFUSING_COUNTS = timedelta(seconds=1)
"""So long behind an open breaker counts as one bad call: it was opened on evidence, and a blip is over before it amounts to much. The
calls that it refuses are no trials of the plugin, however many there are."""
REFUSING_GAP = timedelta(seconds=6)
"""A breaker that refused nothing for this long is taken for closed: sidecars tell every five seconds at least."""
MARKS_KEPT = timedelta(seconds=6)
"""So far back it is known of every look what had arrived by then."""
MARKS_KEPT_COARSELY = timedelta(minutes=2)
"""So far back it is known of one look a second."""
BEFORE = timedelta(seconds=10)
"""So long before a trouble, every process of a sidecar has told at least once what runs in it."""
RECENT = timedelta(seconds=2)
"""What failed this lately still fails: sidecars tell of failures within half a second, and of all else within five."""
MAX_SUSPICIONS = 20_000

Usual = Mapping[tuple[str, str, str], Past]
"""What is usual, by plugin, version and operation."""


class Began(NamedTuple):
    """From where on the calls of an operation belong to a trouble."""

    mark: int
    """Arrivals after this one do."""
    at: datetime
    """When the first of those came."""
    failed_at: datetime
    """When its own calls began to fail; later than `at` where others of its plugin began before it."""


class StreamKey(NamedTuple):
    """One operation of one plugin version, held against one objective."""

    objective: str
    plugin: str
    version: str
    operation: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """A plugin that must be looked at closer, for one objective."""

    objective: str
    plugin: str
    since: datetime
    mark: int
    """Arrivals after this one belong to the trouble, in operations of which nothing else is said."""
    streams: Mapping[tuple[str, str], Began] = field(default_factory=dict)
    """What is suspected of it, by (version, operation)."""
    before_mark: int | None = None
    """Arrivals after this one came at most `BEFORE` its trouble, whatever the clocks of their hosts say; None where that is not known."""
    parts: bool = False
    """It is suspected for a few parts of it, from when their bad calls became more; they may not show in the whole."""


@dataclass(frozen=True, slots=True)
class Watch:
    """All that is suspected; what arrived up to `mark` is in it."""

    mark: int = 0
    streams: Mapping[StreamKey, Suspicion] = field(default_factory=dict)
    parts: Mapping[PartKey, PartCount] = field(default_factory=dict)
    recent: tuple[tuple[datetime, tuple[Cell, ...]], ...] = ()
    """Cells with bad calls that arrived lately."""
    marks: tuple[tuple[datetime, int], ...] = ()
    """When it was brought forward lately, the first time first -> the mark until then."""
    refusing: Mapping[BreakerKey, datetime] = field(default_factory=dict)
    """Breakers that refuse calls, by plugin, version, operation and process -> when that was counted last."""
    waiting: frozenset[str] = frozenset()
    """Plugins that something was found against which waits for its time."""
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
                key: item for key, item in self.streams.items() if not applies(key.plugin, key.version, key.operation)
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
    bad_cells = tuple(
        cell
        for cell in arrivals.cells
        if (cell.counts.failed or cell.refused) and judged(cell.plugin, cell.version, cell.operation)
    )
    refusing, counted = _count_refusing(watch, bad_cells, at)
    shut: Counter[tuple[str, str, str]] = Counter()
    for breaker, seconds in counted.items():
        shut[breaker[:3]] += seconds
    streams = dict(watch.streams)
    thresholds = thresholds_of(objectives)
    for counts in arrivals.streams:
        if not judged(counts.plugin, counts.version, counts.operation):
            continue
        for objective in objectives:
            if objective.covers(counts.plugin):
                closed = shut.pop((counts.plugin, counts.version, counts.operation), 0)
                _bring_forward(
                    streams,
                    counts,
                    closed,
                    objective,
                    thresholds,
                    usual,
                    at,
                    watch.mark if counts.after is None else counts.after,
                )
    if len(streams) > MAX_SUSPICIONS:  # the strongest stay
        kept = sorted(streams.items(), key=lambda item: -item[1].nats)[:MAX_SUSPICIONS]
        streams = dict(kept)
    parts, noticed = count_parts(watch.parts, bad_cells, counted, at, watch.mark, watch.waiting)
    recent = tuple(item for item in watch.recent if at - item[0] <= RECENT)
    if bad_cells:
        recent = (*recent, (at, bad_cells))
    marks = (*_still_kept(watch.marks, at), (at, watch.mark))
    after = Watch(arrivals.mark, streams, parts, recent, marks, refusing, watch.waiting, at)
    return after, _suspects(streams, rises(parts, noticed, at) if noticed else {}, objectives, marks)


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


def bad_by_process(
    objective: Objective, thresholds: Sequence[int], cells: Iterable[Cell]
) -> dict[str, tuple[int, int]]:
    """Return (all calls, bad calls) by process."""
    found: dict[str, tuple[int, int]] = {}
    for cell in cells:
        total, bad = found.get(cell.instance, (0, 0))
        found[cell.instance] = total + cell.counts.total, bad + bad_of(objective, thresholds, cell)
    return found


def usual_of(usual: Usual, plugin: str, version: str, operation: str) -> Past | None:
    """Return what is usual for a stream; for a version without a past, what is usual for the operation in the plugin's others."""
    found = usual.get((plugin, version, operation))
    return found if found is not None else usual.get((plugin, "", operation))


def _bring_forward(
    streams: dict[StreamKey, Suspicion],
    counts: StreamCounts,
    closed: int,
    objective: Objective,
    thresholds: Sequence[int],
    usual: Usual,
    at: datetime,
    mark: int,
) -> None:
    bad, total = bad_of(objective, thresholds, counts), counts.counts.total
    if objective.threshold_index is None:
        bad, total = bad + closed, total + closed
    key = StreamKey(objective.name, counts.plugin, counts.version, counts.operation)
    before = streams.get(key)
    if before is None and bad == 0:
        return
    past = usual_of(usual, counts.plugin, counts.version, counts.operation)
    after = update(before, total, bad, tolerated_of(objective, thresholds, past), at, mark)
    if after is None:
        streams.pop(key, None)
    else:
        streams[key] = after


def _count_refusing(
    watch: Watch, cells: Sequence[Cell], at: datetime
) -> tuple[dict[BreakerKey, datetime], dict[BreakerKey, int]]:
    """Return until when open breakers were counted, and for how many bad calls each of them counts now."""
    refusing = {key: last for key, last in watch.refusing.items() if at - last <= REFUSING_GAP}
    counted: dict[BreakerKey, int] = {}
    for cell in cells:
        key = (cell.plugin, cell.version, cell.operation, cell.instance)
        last = refusing.get(key, at - REFUSING_COUNTS)
        seconds = min(cell.refused, int((at - last) / REFUSING_COUNTS))
        if seconds > 0 and (key in refusing or len(refusing) < MAX_PARTS):
            refusing[key] = at
            counted[key] = seconds
    return refusing, counted


def _still_kept(marks: Iterable[tuple[datetime, int]], at: datetime) -> Iterable[tuple[datetime, int]]:
    """Return the looks of the last seconds, and of those before them one a second."""
    last: datetime | None = None
    for item in marks:
        age = at - item[0]
        if age <= MARKS_KEPT:
            yield item
        elif age <= MARKS_KEPT_COARSELY and (last is None or item[0] - last >= timedelta(seconds=1)):
            last = item[0]
            yield item


def _earliest(streams: Mapping[StreamKey, Suspicion]) -> dict[tuple[str, str], Line]:
    """Return the evidence of the stream of each plugin that began to fail first, of those that would be looked at for themselves."""
    found: dict[tuple[str, str], Line] = {}
    for key, item in streams.items():
        if item.nats >= ATTENTION_NATS:
            whose, lead = (key.objective, key.plugin), item.lead
            found[whose] = min(lead, found.get(whose, lead), key=lambda line: line.mark)
    return found


def _suspects(
    streams: Mapping[StreamKey, Suspicion],
    risen: Mapping[tuple[str, str, str], Rise],
    objectives: Sequence[Objective],
    looks: Sequence[tuple[datetime, int]],
) -> list[Suspect]:
    """Return plugins that are suspected as a whole, and, from other beginnings, those that are for their parts."""
    whole: dict[tuple[str, str], dict[tuple[str, str], Began]] = {}
    least = ATTENTION_NATS
    if risen or any(item.nats >= ATTENTION_NATS for item in streams.values()):
        least = COMPANY_NATS
    strong = _earliest(streams)
    for key, item in streams.items():
        if item.nats >= least:
            first = lead = item.lead
            if (
                item.nats < ATTENTION_NATS
            ):  # a stray failure makes nothing forgotten that went well since the others fail
                first = min(lead, strong.get((key.objective, key.plugin), lead), key=lambda line: line.mark)
            began = Began(first.mark, first.since, lead.since)
            whole.setdefault((key.objective, key.plugin), {})[key.version, key.operation] = began
    small: dict[tuple[str, str], dict[tuple[str, str], Began]] = {}
    for (plugin, *stream), rise in risen.items():
        for objective in objectives:
            # Slowness is not told of parts; streams that are slow are seen as a whole.
            if objective.threshold_index is None and objective.covers(plugin):
                began = Began(rise.step.mark, rise.step.at, rise.step.at)
                small.setdefault((objective.name, plugin), {})[stream[0], stream[1]] = began
    found = []
    for parts, began_at in ((False, whole), (True, small)):
        for (name, plugin), marks in sorted(began_at.items()):
            if parts and whole.get((name, plugin)) == marks:
                continue
            mark, since, _ = min(marks.values())
            before = next((until for at, until in reversed(looks) if at <= since - BEFORE), None)
            found.append(Suspect(name, plugin, since, mark, marks, before, parts))
    return found
