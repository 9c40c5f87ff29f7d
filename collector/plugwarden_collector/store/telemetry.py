"""The port to telemetry: large, append-only, counted after it was stored, and one day in an engine over the network.

Read after acknowledged: a row is on disk once `append`'s future has ended, and nothing promises that an answer holds it yet. Whoever
must see it calls `catch_up` after that and waits for its future; every answer that is asked for later holds it. Answers are
exact: a token counts once, late rows count where they belong, and what cannot be counted is set aside.

Everything may be called from any thread, and waits for the engine unless it returns a future. All of it raises `StoreError` when
the engine would not do it. The protocols are cut by who asks: each takes the one that it needs, and `Telemetry` holds them all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.decide.drain import Running
from plugwarden_collector.judge.arrivals import Arrivals, Cell, Past, Wanted
from plugwarden_collector.judge.burn_down import Section
from plugwarden_collector.judge.failures import ErrorCount
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.pattern import EVERY
from plugwarden_collector.watch.absence import LastCall
from plugwarden_collector.watch.usual import Windows as SameHours

from .calls import (
    CallStep,
    Counts,
    ErrorCalls,
    FleetSeries,
    GateState,
    HeatStep,
    Limits,
    Measure,
    OperationCalls,
    PluginCalls,
    SectionCounts,
    Span,
    UpstreamCalls,
    VersionSeen,
    Windows,
)
from .logs import LogFilter, LogMark, LogPage
from .pieces import MAX_BYTES, Piece
from .planning import Planning
from .replay import Replaying
from .traces import FailingSpan, Trace, TraceFilter, TraceSummary
from .upkeep import Capabilities, Health, Keep, Names, Refused, Retained, SetAside, Size

__all__ = [
    "Condition",
    "Ingest",
    "Judging",
    "Logs",
    "Pages",
    "Queries",
    "Query",
    "RunningQuery",
    "Telemetry",
    "Traces",
    "Upkeep",
]


class Ingest(Protocol):
    """For receivers."""

    def append(self, token: int, tables: Mapping[str, pa.Table], nbytes: int) -> Future[bool]:
        """Take the rows of one request, as `receive.decode.schema` lays them out. Its future ends once they are on disk: True
        stored, False where the same token had been stored before, and nothing was.

        Rows of one request are stored together or not at all. Raises `BusyError` when too much waits; nothing is kept then.
        """

    def catch_up(self, at: datetime) -> Future[None]:
        """Count what is acknowledged by now. Once the future has ended, every answer holds it."""

    @property
    def caught_up(self) -> bool:
        """Whether `catch_up` would have nothing to do."""


class Judging(Protocol):
    """For each tick: one question a kind, for all plugins at once. What stands for many (`_OTHER`) is in no answer."""

    def arrivals(
        self, after: int, thresholds: Sequence[int], detail: Collection[str], since: datetime, until: datetime
    ) -> Arrivals:
        """Return what was counted after the mark `after`, 0 for all that is kept by the second; each call is in one answer.

        `thresholds` are histogram buckets: slow is a call in a bucket above. `detail` names plugins of which all cells are
        wanted. Calls dated before `since` or after `until` are told as stale alone.
        """

    def past(self, since: datetime, until: datetime, thresholds: Sequence[int]) -> Sequence[Past]:
        """Return what is usual for every operation of every plugin version, from hours with at least 20 calls."""

    def windows(self, measures: Sequence[Measure], sizes: Sequence[float], at: datetime, until: datetime) -> Windows:
        """Return calls that a promise is about (ADR 0057), and of them those that the measure is about, per measure, plugin version
        and window.

        A window of `size` seconds is what came after `at` - size, up to `until`, which hosts whose clocks run ahead make later
        than `at`. The longer a window, the coarser its beginning may be: a second up to 15 minutes, a minute up to six hours,
        a minute or an hour's edge beyond.
        """

    def between(
        self, measures: Sequence[Measure], first: datetime, before: datetime, *, finest: bool = False
    ) -> Counts:
        """Return the same calls of one span of time, from `first` on and before `before`: to the event where both are on a full
        minute, or hour where minutes are no longer kept. `finest` asks for seconds wherever they are kept."""

    def versions(self, since: datetime, until: datetime) -> Sequence[VersionSeen]:
        """Return every plugin version that was called, or refused."""

    def limits(self, since: datetime, until: datetime) -> Limits:
        """Return the limits that host processes told of: of each plugin and resource the one that came nearest to being used up."""

    def last_calls(
        self, since: datetime, quiet_since: datetime, at: datetime, *, by_operation: bool
    ) -> Sequence[LastCall]:
        """Return when each plugin, or each operation of it, was called last within `since` and `at`, by the minute where seconds are not
        kept. What is usual is told of what was not called after `quiet_since`."""

    def same_hours(self, at: datetime, over_seconds: float) -> Sequence[SameHours]:
        """Return calls of every plugin in a window that ends at a full minute, and in those at the same time of fourteen days before."""

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> Sequence[UpstreamCounts]:
        """Return plugins' calls of upstreams in windows of so many seconds that end at a moment; slow is a call in a histogram bucket above
        `fast_index`, and none is where it is None. Windows begin on a full minute where seconds are not kept."""

    # -- what a tick asks only when something is suspected

    def waits(self, before: Span, lately: Span) -> Sequence[Waits]:
        """Return how plugins' waits for downstreams went lately, beside how they went before; of each plugin the twenty
        downstreams that it waited for most often."""

    def paces(self, instances: Collection[str], before: Span, lately: Span) -> Sequence[Pace]:
        """Return how long calls of each plugin took lately in each of some processes, beside how long they took before; from
        the seconds."""

    def cells(self, wanted: Sequence[Wanted], thresholds: Sequence[int], until: datetime) -> Sequence[Cell]:
        """Return all cells of some plugins since a mark each, from the seconds; calls dated after `until` are left out."""

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> Sequence[ErrorCount]:
        """Return failed calls of some operations of a version by error, most first, 50 at most, by the second where seconds
        are kept."""

    def ways_back(self, plugin: str, since: datetime, until: datetime) -> Sequence[WayBack]:
        """Return to which earlier version each process said that refused calls of a plugin's operations go back; names that can be
        none are left out."""


class Pages(Protocol):
    """For pages about all plugins, and about one: from whatever resolution has the fewest rows, seconds for steps below 60 s."""

    def plugins(self, since: datetime, until: datetime) -> Sequence[PluginCalls]:
        """Return one value a plugin, in the order of names."""

    def fleet_series(self, since: datetime, until: datetime, step_seconds: float) -> FleetSeries:
        """Return calls of every plugin by step."""

    def running(self, plugins: Sequence[str], at: datetime) -> Sequence[Running]:
        """Return the calls under way in plugins, by operation and host process, of those heard of within two minutes."""

    def upstreams(self, upstream: str | None, since: datetime, until: datetime) -> Sequence[UpstreamCalls]:
        """Return one value an upstream, plugin and service, and one for each upstream as a whole; None asks for all upstreams."""

    def unnamed_upstreams(self, since: datetime, until: datetime) -> Mapping[str, int]:
        """Return plugin -> calls that failed by what it depends on, of plugins that named nothing they wait for."""

    # -- about one plugin

    def plugin(self, plugin: str, since: datetime, until: datetime) -> PluginCalls | None:
        """Return the plugin; None when it has no calls."""

    def operations(self, plugin: str, since: datetime, until: datetime) -> Sequence[OperationCalls]:
        """Return its operations by version, the newest version first."""

    def errors(self, plugin: str, since: datetime, until: datetime) -> Sequence[ErrorCalls]:
        """Return its failed calls by version and error, most first, 50 at most."""

    def gate(self, plugin: str, since: datetime, until: datetime) -> Sequence[GateState]:
        """Return what the gates of its operations are like."""

    def series(self, plugin: str, since: datetime, until: datetime, step_seconds: float) -> Sequence[CallStep]:
        """Return its calls by step, version and outcome, in the order of time."""

    def sections(
        self, plugin: str, measure: Measure, sections: Sequence[Section], version: str | None = None
    ) -> SectionCounts:
        """Return what a measure counts of it, or of one version, in sections of time that follow one another, as `Judging.between` does of
        each: to the event where they begin on a full minute, or second as long as these are kept, and slices with one of theirs."""

    def heatmap(self, plugin: str, since: datetime, until: datetime, step_seconds: float) -> Sequence[HeatStep]:
        """Return its latency distribution by step, in the order of time and bucket."""


class Traces(Protocol):
    """For whoever looks for traces."""

    def find(self, trace_id: int) -> Trace:
        """Return all spans and log records of a trace by its id, a 128-bit integer; empty when there are none."""

    def search(self, wanted: TraceFilter, since: datetime, until: datetime, limit: int) -> Sequence[TraceSummary]:
        """Return the newest traces with a matching span that started in the span of time."""

    def failing(
        self, plugin: str, since: datetime, until: datetime, limit: int, *, version: str | None = None
    ) -> Sequence[FailingSpan]:
        """Return the newest failed spans of a plugin, or of one version."""


class Logs(Protocol):
    """For whoever reads logs. Each page is of one view of the data, and its mark is of the same."""

    def newest(self, wanted: LogFilter, since: datetime, until: datetime, limit: int) -> LogPage:
        """Return the newest records after `since`, up to `until`, in the order of time."""

    def after(self, wanted: LogFilter, mark: LogMark, limit: int) -> LogPage:
        """Return the first records that arrived after a place, in the order of arrival, whatever their times."""

    def around(self, wanted: LogFilter, mark: LogMark, count: int) -> LogPage:
        """Return the record at a place with as many matching ones before and after it; none where it is not kept any more."""


@dataclass(frozen=True, slots=True)
class Query:
    """One reading statement over the stable views, and what its answer may be."""

    sql: str
    parameters: Sequence[Any] | Mapping[str, Any] | None = None
    form: str = "arrow"
    """Name of a form in `store.pieces.FORMS`."""
    limit: int = 10_000
    """Rows."""
    max_bytes: int = MAX_BYTES
    timeout_seconds: float = 15.0


class RunningQuery(Protocol):
    """`open` it, iterate over it, `close` it, all of that in one thread; `cancel` it from any."""

    begin: bytes
    """What stands before the first piece, in the form asked for."""
    rows: int
    """Rows passed on so far."""
    truncated: str | None
    """`rows` or `bytes` when that limit cut the answer."""

    @property
    def elapsed_ms(self) -> float:
        """Since the query was taken on."""

    def open(self) -> pa.Schema:
        """Check, plan and start; the first rows are there afterwards. Raises `QueryError`, `QueryTimeoutError`, `BusyError`."""

    def __iter__(self) -> Iterator[Piece]:
        """The rows, in pieces, down to the limits."""

    def cancel(self) -> None:
        """End it: whoever iterates gets `QueryCancelledError`."""

    def close(self) -> None:
        """Let go of everything."""


class Queries(Protocol):
    """For people and programs that ask in SQL, over the same views in every engine (`store.views`)."""

    def start(self, query: Query) -> RunningQuery:
        """Return a statement that is not begun. It can read the stable views, and nothing else of the machine."""

    def warm(self) -> None:
        """Start what statements run in, before somebody waits for it."""

    def close(self) -> None:
        """End the statements that run, and what they run in."""

    def ended(self) -> Mapping[str, int]:
        """Return reason -> how many processes of readers were ended for it since the start."""


class Upkeep(Protocol):
    """For the loop that lets go of what is old, and for people who decide about rows. An act of theirs and its entry in the decision
    log are stored together where the engine can (`Capabilities.entry_with_act`)."""

    def retain(self, keep: Keep, at: datetime) -> None:
        """Let go of what is older than its age or more than there is room for. One round; raises what kept any part from
        its turn, once all others have had theirs."""

    def retained(self) -> Retained:
        """Return what rounds have done, and what the last one left for a person."""

    def allow(self, waiting: Mapping[str, Refused], entry: Draft) -> None:
        """Let the next round take what waits, as it was shown and no more, and record the entry."""

    def set_aside(self) -> Sequence[SetAside]:
        """Return what is set aside, newest first, 1,000 at most."""

    def count_again(self, identity: str, at: datetime, entry: Draft) -> None:
        """Count what was set aside, and record the entry. Raises `NotFoundError`, or `StoreError` when it
        still cannot be counted: then all stays as it is."""

    def give_up(self, identity: str, entry: Draft) -> None:
        """Forget what was set aside, and record the entry. Raises `NotFoundError`."""


class Condition(Protocol):
    """For whoever looks after the store."""

    @property
    def can(self) -> Capabilities:
        """What this engine can do."""

    def health(self) -> Health:
        """Return how it is, from memory."""

    def size(self) -> Size:
        """Return what it takes on disk."""

    def rows(self) -> Mapping[str, int]:
        """Return table -> how many rows it holds."""

    def memory_bytes(self) -> Mapping[str, int]:
        """Return what the engine keeps in memory for later -> its bytes; may wait for who uses it."""

    def names(self, since: datetime) -> Names:
        """Return the names that are told apart, and who sent more than that since a moment."""

    def newest_at(self) -> datetime | None:
        """Return the time of the newest counted call; None while there is none."""

    def oldest_at(self) -> datetime | None:
        """Return the time of the oldest counted call; None while there is none."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One open store of telemetry."""

    ingest: Ingest
    judging: Judging
    replaying: Replaying
    pages: Pages
    planning: Planning
    traces: Traces
    logs: Logs
    queries: Queries
    upkeep: Upkeep
    condition: Condition
