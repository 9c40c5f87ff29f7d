"""Call histograms that no sidecar made, brought into the rollups' form: deltas at the contract's scale.

Any OpenTelemetry SDK may send `plugin.invocation.duration`, and by default sends it cumulative and with bounds of its own.
What is told for each point is decided point by point; numbers and buckets are worked out for all of them at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plugwarden_collector.receive.decode.time_units import seconds_per

from .buckets import Buckets, Numbers, at_contract_scale

__all__ = ["CUMULATIVE", "KEYS", "UNTOLD", "Key", "Level", "Streams", "to_calls"]

KEYS = (
    "service_name", "instance_id", "plugin_id", "plugin_version", "plugin_operation", "outcome", "error_source", "error_type",
    "tenant_id", "host_name",
)  # fmt: skip
CUMULATIVE = 2
MAX_GAIN = 2**32 - 1
"""Calls of one series between two exports; more cannot be meant, as in fresh_points.sql."""
YOUNG = 600 * 10**6
"""Microseconds. A series seen for the first time is counted from its start when that was this recent, and else from now on: what
an old process counted long before we listened did not happen within this second."""
EARLIER = 10**6
"""Microseconds: what a sender told this long before was another export; series of one export differ by far less."""
MAX_SECONDS = 1e15
"""As in receive/decode/numbers.py; of rows that were stored before there was such a bound."""
MAX_STREAMS = 256
"""Processes that share one identity and are told apart; beyond that the one that was silent longest is forgotten, and what is
not known is counted from now on: it may be one of those."""
UNTOLD = 0
"""The start of a stream whose sender tells none (1970)."""

Key = tuple[int, int]
"""Series and start. Processes that share an identity are one series and several streams (OTLP data model: the start is part of
a stream's identity)."""

_NOTHING, _ALL = -2, -1


@dataclass(frozen=True, slots=True)
class Level:
    """What a cumulative stream had counted at a moment. Times are microseconds since 1970."""

    sender: int
    heard_at: int
    """The first time that it told."""
    time: int
    """The last."""
    count: int
    sum: float
    """Seconds."""
    places: Numbers
    counts: Numbers


@dataclass(slots=True)
class Streams:
    """Where the streams stand that some points may belong to; `to_calls` moves them on."""

    levels: dict[Key, Level] = field(default_factory=dict)
    heard: dict[int, int] = field(default_factory=dict)
    """Series -> when it was heard for the first time, of what is known."""
    full: frozenset[int] = frozenset()
    """Series of which as many streams are known as are kept: others may have been forgotten."""
    senders: dict[Key, int] = field(default_factory=dict)
    """(resource, start) -> when any of its series was heard for the first time."""
    moved: dict[Key, Level] = field(default_factory=dict)
    """Those that stand elsewhere than before."""
    shared: Counter[str] = field(default_factory=Counter)
    """Service -> points that fell though their start is the same: two processes write one stream."""


def to_calls(points: pa.Table, streams: Streams, schema: pa.Schema) -> pa.Table:
    """Rows of `foreign_points` to rows of `call_seconds`, which is `schema`."""
    seconds = _seconds(points)
    count, total = points["count"].to_numpy().astype(np.int64), points["sum"].to_numpy() * seconds
    longest = points["max"].to_numpy() * seconds
    cpu = points["kind"].to_numpy() == "sum"
    buckets, in_buckets = at_contract_scale(points, np.where(seconds > 0, seconds, 1.0))
    with np.errstate(invalid="ignore"):
        # What is not so was refused on arrival, or stored by an earlier version.
        good = (total <= MAX_SECONDS) & (longest <= MAX_SECONDS) & (longest >= 0) & (in_buckets <= count)
    level_of = _Rows(points, count, total, buckets)
    cumulative = (points["temporality"].to_numpy() == CUMULATIVE) & ~cpu
    before = np.where(good, _ALL, _NOTHING)
    olds = _compare(level_of, np.flatnonzero(good & cumulative), streams, before)
    rows = np.flatnonzero(before != _NOTHING)
    against = before[rows]
    old_count, old_sum = (np.array([getattr(old, name) for old in olds] + [0]) for name in ("count", "sum"))
    every_count, every_sum = np.concatenate([count, old_count]), np.concatenate([total, old_sum])
    known = np.where(against >= 0, against, len(every_count) - 1)  # the last is nothing
    gained = np.where(cpu[rows], 0, every_count[rows] - every_count[known].astype(np.int64))
    chosen = cpu[rows] | ((gained > 0) & (gained <= MAX_GAIN))
    rows, known, gained = rows[chosen], known[chosen], gained[chosen]
    nothing = (np.zeros(0, np.int64),) * 2
    every = buckets.followed_by(Buckets.of_lists([*((old.places, old.counts) for old in olds), nothing]))
    index, counts = every.take(rows).since(every.take(known), gained).lists()
    named = points.take(pa.array(rows))
    return pa.table(
        {
            "bucket_start": pc.floor_temporal(named["time"], unit="second"),
            **{key: named[key] for key in KEYS},
            "calls": pa.array(gained, pa.uint64()),
            "duration_seconds_sum": np.where(cpu[rows], 0.0, np.maximum(0.0, total[rows] - every_sum[known])),
            "duration_seconds_max": np.where(cpu[rows], 0.0, longest[rows]),
            "cpu_seconds": np.where(cpu[rows], total[rows], 0.0),
            "bucket_index": index,
            "bucket_count": counts,
            "batch": named["batch"],
        }
    ).cast(schema)


class _Rows:
    """The points, as what a stream may stand at."""

    def __init__(self, points: pa.Table, count: Numbers, total: Numbers, buckets: Buckets) -> None:
        def whole(name: str) -> list[int]:
            found: list[int] = (
                points[name].cast(pa.int64() if points[name].type != pa.uint64() else pa.uint64()).to_pylist()
            )
            return found

        self.series, self.sender, self.time = whole("series"), whole("sender"), whole("time")
        # A stream that tells no start says that it began when it ends.
        self.start = [
            start if start < time else UNTOLD for start, time in zip(whole("started_at"), self.time, strict=True)
        ]
        self.service: list[str] = points["service_name"].to_pylist()
        self.count: list[int] = count.tolist()
        self.sum: list[float] = total.tolist()
        self.buckets = buckets

    def level(self, row: int, heard_at: int) -> Level:
        places, counts = self.buckets.of(row)
        return Level(self.sender[row], heard_at, self.time[row], self.count[row], self.sum[row], places, counts)


def _compare(points: _Rows, rows: Numbers, streams: Streams, before: Numbers) -> list[Level]:
    """Note in `before` what each cumulative point is compared with: a row of these points or, numbered from their end on, one
    of the levels that are answered; or `_ALL` or `_NOTHING` of it counts. The rows are in order of series and time."""
    olds: list[Level] = []
    place: dict[Key, int] = {}
    first_heard: dict[int, int] = {}
    times, counts = [*points.time], [*points.count]

    def standing(key: Key) -> int | None:
        """The number of what a stream stands at."""
        if key not in place and key in streams.levels:
            old = streams.levels[key]
            place[key] = len(times)
            first_heard[len(times)] = old.heard_at
            olds.append(old)
            times.append(old.time)
            counts.append(old.count)
        return place.get(key)

    for row in rows.tolist():
        sender = (points.sender[row], points.start[row])
        streams.senders[sender] = min(points.time[row], streams.senders.get(sender, points.time[row]))
    last: dict[Key, int] = {}
    for row in rows.tolist():
        series, start, time = points.series[row], points.start[row], points.time[row]
        key = (series, start)
        known = standing(key)
        if known is None and start != UNTOLD:
            # A stream whose start is not known begins with a point that starts when it ends, and goes on from there.
            untold = standing((series, UNTOLD))
            known = untold if untold is not None and times[untold] == start else None
        before[row] = _NOTHING
        if known is None:
            # Counted from its start when that was recent, or its series was heard before it began, or its sender told other
            # series before: a process that begins to fail has a new series with its old start.
            if (
                start != UNTOLD
                and series not in streams.full
                and (
                    streams.heard.get(series, time) <= start
                    or time - start <= YOUNG
                    or streams.senders[points.sender[row], start] + EARLIER <= time
                )
            ):
                before[row] = _ALL
        elif time <= times[known]:
            continue  # out of order: what it tells is in the later point already
        elif points.count[row] >= counts[known]:
            before[row] = known
        elif start == UNTOLD:
            before[row] = _ALL  # it began again; who tells a start would tell a new one
        else:
            streams.shared[points.service[row]] += 1
            continue  # the one that counted more goes on
        first_heard[row] = first_heard[known] if known is not None else time
        place[key] = last[key] = row
        streams.heard[series] = min(streams.heard.get(series, time), time)
    for key, row in last.items():
        streams.levels[key] = streams.moved[key] = points.level(row, first_heard[row])
    return olds


def _seconds(points: pa.Table) -> Numbers:
    """Return the seconds of one of each point's unit; NaN where that is none of time."""
    units = points["unit"].combine_chunks().dictionary_encode()
    units = units.chunk(0) if isinstance(units, pa.ChunkedArray) else units
    told = [seconds_per(unit) for unit in units.dictionary.to_pylist()]
    found: Numbers = np.array([np.nan if one is None else one for one in told] + [np.nan])[
        units.indices.fill_null(len(told)).to_numpy(zero_copy_only=False)
    ]
    return found
