"""What came in, told by the intake twice: who sent it; then how long it took, how new it was, what was refused."""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract.metrics import ENDING

from plugwarden_collector.clock import Clock
from plugwarden_collector.latency import Counts, Distribution
from plugwarden_collector.receive.decode.batch import Batch, Signal

from .senders import Senders

__all__ = ["Arrivals"]

_EVENT_TIMES = (("incoming_spans", "started_at"), ("incoming_points", "time"), ("incoming_logs", "time"))
_NAMES = ("service_name", "instance_id")
_REASON = re.compile(r"(\d+): (.+)")
MAX_REASONS = 50
OTHER = "other"


class Arrivals:
    """`read` is called by the decode threads, `taken` by the event loop; all may be looked at from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.senders = Senders()
        self.lag = {signal.value: Distribution() for signal in Signal}
        """From a request's bytes being there to its rows being on disk."""
        self.arrived_at: dict[str, datetime] = {}
        """Signal -> when a request with rows of it last came in, whether or not it could be stored."""
        self.event_at: dict[str, datetime] = {}
        """Signal -> the latest time that a stored row itself carries."""
        self.refused: Counter[tuple[str, str]] = Counter()
        """(signal, reason) -> spans, points or records that were left out of a request that was taken."""

    def read(self, batches: Sequence[Batch]) -> None:
        """Requests came in: their senders live, even if we cannot store what they sent."""
        at = self._clock()
        resources = []
        for batch in batches:
            if batch.accepted:
                self.arrived_at[batch.signal.value] = at
                resources.append(batch.tables["incoming_resources"])
        if resources:
            told = pa.concat_tables(table.select(["service_name", "instance_id"]) for table in resources)
            services, instances = (column.to_pylist() for column in told.columns)
            with self._lock:
                for service, instance in zip(services, instances, strict=True):
                    self.senders.heard(service, instance, at)
                for batch in batches:
                    if batch.accepted and batch.signal is Signal.METRICS:
                        self._hear_goodbyes(batch)

    def taken(self, taken: Sequence[tuple[Batch, float]]) -> None:
        """Requests were taken, and their rows are on disk, each so many seconds after it came in."""
        times: dict[str, list[pa.Array]] = defaultdict(list)
        for batch, seconds in taken:
            signal = batch.signal.value
            if batch.rejected:
                self._refuse(signal, batch.rejected, batch.reason)
            if not batch.accepted:
                continue
            self.lag[signal].observe(seconds)
            for table, column in _EVENT_TIMES:
                rows = batch.tables.get(table)
                if rows is not None:
                    times[signal] += rows.column(column).chunks
        for signal, chunks in times.items():
            newest = pc.max(pa.chunked_array(chunks, pa.timestamp("us"))).as_py()
            if newest is not None and newest > self.event_at.get(signal, datetime.min):
                self.event_at[signal] = newest

    def lag_counts(self) -> Counts:
        """The lag of all signals together."""
        merged: Counter[int] = Counter()
        for distribution in self.lag.values():
            merged.update(distribution.counts())
        return merged

    @property
    def newest_at(self) -> datetime | None:
        """When anything last arrived."""
        return max(list(self.arrived_at.values()), default=None)

    def _hear_goodbyes(self, batch: Batch) -> None:
        resources, points = batch.tables["incoming_resources"], batch.tables["incoming_points"]
        told = pc.any(pc.equal(points.column("metric"), ENDING.name)).as_py()
        said = points.filter(pc.equal(points.column("metric"), ENDING.name)) if told else None
        ending = set() if said is None else set(zip(*(said.column(name).to_pylist() for name in _NAMES), strict=True))
        for name in zip(*(resources.column(name).to_pylist() for name in _NAMES), strict=True):
            self.senders.told_ending(*name, ending=name in ending)

    def _refuse(self, signal: str, rejected: int, text: str) -> None:
        """Count by the reasons that the sender is told, such as `3: too old to be kept`."""
        for part in text.split("; "):
            found = _REASON.fullmatch(part)
            if found is None or rejected < int(found[1]):
                continue
            known = (signal, found[2]) in self.refused or len(self.refused) < MAX_REASONS
            self.refused[signal, found[2] if known else OTHER] += int(found[1])
            rejected -= int(found[1])
        if rejected:
            self.refused[signal, OTHER] += rejected
