"""Counts every invocation into exponential histograms, one cell per combination of attributes."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple

from plugwarden.contract import Outcome
from plugwarden.contract.histogram import bucket_index_of_ns, bucket_indexes_of_ns
from plugwarden.invocation import Invocation

if TYPE_CHECKING:
    from plugwarden.operation import Operation

from plugwarden.contract.names import OVERFLOW
from plugwarden.contract.value import value

__all__ = ["Aggregator", "Cell", "CellKey", "Exemplar", "MetricBatch"]

MAX_ERROR_TYPES = 25
"""Error types told apart per operation; what comes after them is counted as `_OTHER`."""
MAX_OVERHEADS = 63
"""Measured calls per time series and interval that the caller's overhead is estimated from."""
MAX_TENANTS = 200
"""Tenants told apart per process."""
MAX_DOWNSTREAMS = 25
"""Downstreams told apart per operation."""


class CellKey(NamedTuple):
    """The attributes of one time series."""

    operation: Operation
    outcome: str
    source: str | None
    error_type: str | None
    rejection: str | None
    tenant: str | None
    downstream: str | None
    """Set where the cell counts waits for a downstream instead of invocations."""


@value
class Exemplar:
    """One traced invocation that stands for its cell."""

    seconds: float
    at_ns: int
    trace_id: int
    span_id: int


class Cell:
    """The distribution of one time series over one interval."""

    __slots__ = (
        "buckets",
        "count",
        "cpu_calls",
        "cpu_ns",
        "cpu_settled_ns",
        "exemplar",
        "ns_max",
        "ns_min",
        "ns_sum",
        "overheads",
        "settled_count",
    )

    def __init__(self) -> None:
        self.count = 0
        self.ns_sum = 0
        self.ns_min = sys.maxsize
        self.ns_max = 0
        self.buckets: defaultdict[int, int] = defaultdict(int)
        self.cpu_ns = 0
        """CPU time of the measured calls."""
        self.cpu_calls = 0
        """How many calls were measured."""
        self.cpu_settled_ns = 0.0
        """Estimated CPU time of merged intervals: once told it must not fall when later calls are cheaper."""
        self.settled_count = 0
        """Calls of merged intervals."""
        self.overheads: list[int] = []
        """What watching cost the callers of the measured calls (ns), the last `MAX_OVERHEADS` of them."""
        self.exemplar: Exemplar | None = None

    def add(self, invocation: Invocation) -> None:
        """Count one invocation."""
        ns = invocation.duration_ns
        self.count += 1
        self.ns_sum += ns
        if ns < self.ns_min:
            self.ns_min = ns
        if ns > self.ns_max:
            self.ns_max = ns
        self.buckets[bucket_index_of_ns(ns)] += 1
        if invocation.more is not None:
            if invocation.cpu_ns >= 0:
                self.cpu_ns += invocation.cpu_ns
                self.cpu_calls += 1
            if invocation.overhead_ns >= 0:
                overhead = invocation.overhead_ns - invocation.queued_ns  # a wait for a place is the host's wish
                if len(self.overheads) < MAX_OVERHEADS:
                    self.overheads.append(overhead)
                else:
                    self.overheads[self.count % MAX_OVERHEADS] = overhead

    def add_durations(self, durations: list[int]) -> None:
        """Count as many plain successes (ns), one at least."""
        self.count += len(durations)
        self.ns_sum += sum(durations)
        self.ns_min = min(self.ns_min, min(durations))
        self.ns_max = max(self.ns_max, max(durations))
        buckets = self.buckets
        for index, found in Counter(bucket_indexes_of_ns(durations)).items():
            buckets[index] += found

    def merge(self, other: Cell) -> None:
        """Add another interval's distribution."""
        self.count += other.count
        self.ns_sum += other.ns_sum
        self.ns_min = min(self.ns_min, other.ns_min)
        self.ns_max = max(self.ns_max, other.ns_max)
        for index, count in other.buckets.items():
            self.buckets[index] += count
        self.cpu_settled_ns += other.cpu_seconds_estimate * 1e9
        self.settled_count += other.count
        self.exemplar = other.exemplar or self.exemplar

    def without_cpu(self) -> Cell:
        """A copy that says nothing of CPU time: within an interval its estimate goes up and down."""
        copy = Cell()
        copy.merge(self)
        copy.cpu_settled_ns = 0.0
        return copy

    @property
    def seconds_sum(self) -> float:
        """All durations together."""
        return self.ns_sum / 1e9

    @property
    def seconds_min(self) -> float:
        """The shortest."""
        return self.ns_min / 1e9

    @property
    def seconds_max(self) -> float:
        """The longest."""
        return self.ns_max / 1e9

    @property
    def cpu_seconds_estimate(self) -> float:
        """CPU time of all calls, scaled up from the measured ones."""
        fresh = self.count - self.settled_count
        running = self.cpu_ns * fresh / self.cpu_calls if self.cpu_calls else 0.0
        return (self.cpu_settled_ns + running) / 1e9

    @property
    def overhead_seconds_estimate(self) -> float:
        """What watching cost all callers, scaled up from the median of the measured ones.

        The mean would not do: the clock goes on while another thread runs, and a measured call is the one that looks after
        the queue for 64, so the few long ones among the measured are not to be multiplied.
        """
        if not self.overheads:
            return 0.0
        return sorted(self.overheads)[len(self.overheads) // 2] / 1e9 * self.count


@value
class MetricBatch:
    """All cells of one interval."""

    start_ns: int
    end_ns: int
    cells: dict[CellKey, Cell]
    dropped: dict[tuple[str, str], int] = field(default_factory=dict)
    """(signal, reason) -> items dropped in the interval."""
    overhead_seconds: float = 0.0
    """CPU time of the sidecar's own threads in the interval."""
    fallbacks: dict[tuple[Operation, str], int] = field(default_factory=dict)
    """(operation, what became of it) -> times a fallback was asked in the interval."""
    sums: dict[tuple[Operation, str, str], float] = field(default_factory=dict)
    """(operation, metric, why or "") -> what runners and the loop's watch counted in the interval."""
    ending: bool = False
    """Whether the process was about to end."""

    @property
    def calls(self) -> int:
        """How many calls it tells of."""
        return sum(cell.count for key, cell in self.cells.items() if key.downstream is None)


class Aggregator:
    """The cells of the running interval, and totals since the start for Prometheus. Not thread-safe: has one owner."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Cell] = {}
        self.totals: dict[CellKey, Cell] = {}
        self._open: list[Operation] = []
        self._peaks: dict[Operation, int] = {}
        self._error_types: dict[Operation, set[str]] = {}
        self._downstreams: dict[Operation, set[str]] = {}
        self._tenants: set[str] = set()

    def add(self, invocation: Invocation) -> None:
        """Count one finished invocation."""
        if invocation.more is None:
            cell = invocation.operation.cell  # the cell of plain successes hangs on the operation: no lookup
            if cell is None:
                cell = self._open_plain(invocation.operation)
        else:
            key = self.key(invocation)
            cell = self.cells.get(key)
            if cell is None:
                cell = self.cells[key] = Cell()
        cell.add(invocation)

    def add_durations(self, operation: Operation, durations: list[int]) -> None:
        """Count plain successes of one operation, of which only the durations (ns) are known."""
        (operation.cell or self._open_plain(operation)).add_durations(durations)

    def look_at_running(self) -> None:
        """Note how many calls of each busy operation run at this moment."""
        for operation in self._open:
            running = len(operation.running)
            if running > self._peaks.get(operation, 0):
                self._peaks[operation] = running

    def take_peaks(self) -> dict[Operation, int]:
        """The most seen running at once since the last call."""
        peaks, self._peaks = self._peaks, {}
        return peaks

    def _open_plain(self, operation: Operation) -> Cell:
        key = CellKey(operation, Outcome.SUCCESS.value, None, None, None, None, None)
        cell: Cell = self.cells.setdefault(key, Cell())
        operation.cell = cell
        self._open.append(operation)
        return cell

    def key(self, invocation: Invocation) -> CellKey:
        """The cell an invocation belongs to, with unbounded values capped."""
        operation, tenant, downstream = invocation.operation, invocation.tenant, invocation.downstream
        error_type = invocation.error_type
        if error_type is not None:
            error_type = _capped(self._error_types.setdefault(operation, set()), error_type, MAX_ERROR_TYPES)
        if tenant is not None:
            tenant = _capped(self._tenants, tenant, MAX_TENANTS)
        if downstream is not None:
            downstream = _capped(self._downstreams.setdefault(operation, set()), downstream, MAX_DOWNSTREAMS)
        source = invocation.source
        return CellKey(
            operation,
            invocation.outcome.value,
            None if source is None else source.value,
            error_type,
            invocation.rejection,
            tenant,
            downstream,
        )

    def leave_out(self, key: CellKey) -> None:
        """Let go of a cell that cannot be told."""
        self.cells.pop(key, None)
        key.operation.cell = None

    def cut(self) -> dict[CellKey, Cell]:
        """The cells of the interval that ends now; a new interval begins."""
        cells, self.cells = self.cells, {}
        for operation in self._open:
            operation.cell = None
        self._open.clear()
        merge_cells(self.totals, cells)
        return cells


def merge_cells(into: dict[CellKey, Cell], cells: dict[CellKey, Cell]) -> None:
    """Add every cell of one interval to those of another; the added ones are left as they are."""
    for key, cell in cells.items():
        held = into.get(key)
        if held is None:
            held = into[key] = Cell()
        held.merge(cell)


def _capped(seen: set[str], value: str, limit: int) -> str:
    if value in seen:
        return value
    if len(seen) >= limit:
        return OVERFLOW
    seen.add(value)
    return value


def failures(cells: Iterable[CellKey]) -> bool:
    """Whether any of these cells holds failed invocations."""
    return any(key.outcome in {"error", "timeout"} for key in cells)
