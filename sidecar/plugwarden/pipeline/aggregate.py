"""Counts every invocation into exponential histograms, one cell per combination of attributes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plugwarden.contract.histogram import bucket_index
from plugwarden.invocation import Invocation

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["Aggregator", "Cell", "CellKey", "Exemplar", "MetricBatch"]

OVERFLOW = "_OTHER"
"""The value OpenTelemetry's conventions give to what does not fit a bounded set."""
MAX_ERROR_TYPES = 25
"""Error types told apart per operation; what comes after them is counted as `_OTHER`."""
MAX_TENANTS = 200
"""Tenants told apart per process."""
MAX_DOWNSTREAMS = 25
"""Downstreams told apart per operation."""


@dataclass(frozen=True, slots=True)
class CellKey:
    """The attributes of one time series."""

    operation: Operation
    outcome: str
    source: str | None
    error_type: str | None
    rejection: str | None
    tenant: str | None
    downstream: str | None
    """Set where the cell counts waits for a downstream instead of invocations."""


@dataclass(slots=True)
class Exemplar:
    """One traced invocation that stands for its cell."""

    seconds: float
    at_ns: int
    trace_id: int
    span_id: int


@dataclass(slots=True)
class Cell:
    """The distribution of one time series over one interval."""

    count: int = 0
    seconds_sum: float = 0.0
    seconds_min: float = float("inf")
    seconds_max: float = 0.0
    buckets: dict[int, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    """CPU time of the measured calls."""
    cpu_calls: int = 0
    """How many calls were measured."""
    exemplar: Exemplar | None = None

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.count += 1
        self.seconds_sum += seconds
        if seconds < self.seconds_min:
            self.seconds_min = seconds
        if seconds > self.seconds_max:
            self.seconds_max = seconds
        index = bucket_index(seconds)
        self.buckets[index] = self.buckets.get(index, 0) + 1

    def merge(self, other: Cell) -> None:
        """Add another interval's distribution."""
        self.count += other.count
        self.seconds_sum += other.seconds_sum
        self.seconds_min = min(self.seconds_min, other.seconds_min)
        self.seconds_max = max(self.seconds_max, other.seconds_max)
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count
        self.cpu_seconds += other.cpu_seconds
        self.cpu_calls += other.cpu_calls
        self.exemplar = other.exemplar or self.exemplar

    @property
    def cpu_seconds_estimate(self) -> float:
        """CPU time of all calls, scaled up from the measured ones."""
        return self.cpu_seconds * self.count / self.cpu_calls if self.cpu_calls else 0.0


@dataclass(slots=True)
class MetricBatch:
    """All cells of one interval."""

    start_ns: int
    end_ns: int
    cells: dict[CellKey, Cell]
    dropped: dict[tuple[str, str], int] = field(default_factory=dict)
    """(signal, reason) -> items dropped in the interval."""
    overhead_seconds: float = 0.0
    """CPU time of the sidecar's own threads in the interval."""
    attempted: bool = False
    """It was sent once: its bytes must not change, so that the collector can tell a repeat."""

    def merge(self, later: MetricBatch) -> None:
        """Take in the batch that follows this one."""
        self.end_ns = later.end_ns
        merge_cells(self.cells, later.cells)
        for key, count in later.dropped.items():
            self.dropped[key] = self.dropped.get(key, 0) + count
        self.overhead_seconds += later.overhead_seconds


class Aggregator:
    """The cells of the running interval, and totals since the start for Prometheus. Not thread-safe: has one owner."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Cell] = {}
        self.totals: dict[CellKey, Cell] = {}
        self._error_types: dict[Operation, set[str]] = {}
        self._downstreams: dict[Operation, set[str]] = {}
        self._tenants: set[str] = set()

    def add(self, invocation: Invocation) -> None:
        """Count one finished invocation."""
        key = self.key(invocation)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell()
        cell.add(invocation.duration_ns / 1e9)
        if invocation.cpu_ns >= 0:
            cell.cpu_seconds += invocation.cpu_ns / 1e9
            cell.cpu_calls += 1

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

    def cut(self) -> dict[CellKey, Cell]:
        """The cells of the interval that ends now; a new interval begins."""
        cells, self.cells = self.cells, {}
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
