"""The counts of this process that no collector has taken yet, kept where a kill does not reach.

A call leaves one word in the region's ring as it ends, on its caller's thread; folding moves words into the open interval,
cutting moves the interval into a request, and an acknowledged request is taken out. Each of these is one commit of the
region, so what its heir finds is neither short of a call nor holds one twice.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from plugwarden.contract import ErrorSource, Outcome

from .aggregate import Cell, CellKey
from .region import RING, SNAPSHOT_BYTES, Region

if TYPE_CHECKING:
    from plugwarden.invocation import Invocation
    from plugwarden.operation import Operation
    from plugwarden.settings import Settings

__all__ = [
    "CALLS_BYTES",
    "DURATION_BITS",
    "ENDINGS",
    "ENDING_BITS",
    "OTHERS",
    "PUBLISH_EVERY",
    "Journal",
    "describe",
    "dump_cells",
    "load_cells",
]

DURATION_BITS = 47
"""39 hours in nanoseconds: more than the histogram's last bucket."""
ENDING_BITS = 5
ENDINGS: list[tuple[str, str | None]] = [
    (outcome.value, None if source is None else source.value) for outcome in Outcome for source in (None, *ErrorSource)
]
"""(outcome, error source) by the number that a word of the ring has for them; fewer than 2^ENDING_BITS."""
MAX_NAMED = (1 << 64 - DURATION_BITS - ENDING_BITS) - 1
OTHERS = 1
"""The number of all operations beyond that; the first one named has the next, and a line of the region's names."""
CALLS_BYTES = 8
"""Before each request that waits: how many calls it tells of."""
PUBLISH_EVERY = RING // 4
"""Calls folded between two snapshots, at most."""
_LONGEST_NS = (1 << DURATION_BITS) - 1
_MASK = RING - 1
_NUMBERS = {ending: number for number, ending in enumerate(ENDINGS)}


class Journal:
    """One process's own region. `record` is called by callers, `taken` by the export thread, the rest under one lock."""

    __slots__ = ("_codes", "_lock", "_open", "_outbox", "_region", "folded", "head", "limit", "queue", "record")

    def __init__(
        self,
        region: Region,
        about: Mapping[str, Any],
        *,
        make_room: Callable[[], None],
        spare: Callable[[Invocation], None],
    ) -> None:
        """`about` says what the resource is; `make_room` folds what waits, `spare` takes that for which there still is none."""
        self._region = region
        self._codes: dict[tuple[str, str, str], int] = {}
        self._lock = threading.RLock()  # a finalizer or a signal handler may call what is wrapped
        self._outbox: list[tuple[int, bytes]] = []
        self._open = b""
        self.head = 0
        """Words ever put into the ring."""
        self.limit = RING - 1  # one word stays 0, so that an heir sees where the newest is
        self.folded = 0
        """Words whose calls stand in the aggregator."""
        self.queue: deque[Invocation | tuple[Operation, int]] = deque()
        """Finished invocations, in the order of their words; of plain successes that leave no span, operation and duration."""
        self.tell(about)
        self.record = self._recorder(make_room, spare)
        """Takes a finished invocation from its caller's thread."""

    def _recorder(
        self, make_room: Callable[[], None], spare: Callable[[Invocation], None]
    ) -> Callable[[Invocation], None]:
        ring, append = self._region.ring, self.queue.append

        def record(invocation: Invocation) -> None:
            operation = invocation.operation
            more = invocation.more
            code = operation.code or self._named(operation)
            if more is not None:
                if invocation.downstream is not None:
                    spare(invocation)  # a wait is no call
                    return
                code += self._ending(invocation)
            took = invocation.duration_ns
            if took > _LONGEST_NS:
                took = _LONGEST_NS
            if self.head >= self.limit:
                make_room()
            # From here to the append nothing is called, so no other thread and no signal handler comes in between: the
            # words are in the order of the queue.
            number = self.head
            if number < self.limit:
                ring[number & _MASK] = code + took
                self.head = number + 1
                append(invocation)
            else:
                spare(invocation)  # so many wait that this one is counted, but not kept until it is folded

        return record

    def counter(self, operation: Operation, make_room: Callable[[], None]) -> Callable[[int], None]:
        """Return what `Operation.count` is: it takes the duration of a plain success from its caller's thread, as `record` does."""
        ring, append, spare = self._region.ring, self.queue.append, operation.tally.append

        def count(took: int) -> None:
            word = (operation.code or self._named(operation)) + (took if took < _LONGEST_NS else _LONGEST_NS)
            told = operation, took
            if self.head >= self.limit:
                make_room()
            # As in `record`: nothing is called from here to the append.
            number = self.head
            if number < self.limit:
                ring[number & _MASK] = word
                self.head = number + 1
                append(told)
            else:
                spare(took)

        return count

    @property
    def due(self) -> bool:
        """Whether so many calls were folded that the ring needs its words back."""
        return self.folded - self._region.tail >= PUBLISH_EVERY

    @property
    def room(self) -> bool:
        """Whether another request may wait beside those that do."""
        return sum(len(request) for _, request in self._outbox) < SNAPSHOT_BYTES // 2

    @property
    def owes(self) -> bool:
        """Whether anything in it was not taken."""
        return bool(self._outbox or self._open or self.head > self.folded)

    def tell(self, about: Mapping[str, Any]) -> None:
        """Note what the resource is; what is told last is in force."""
        self._region.name(_packed(about))

    def beat(self) -> None:
        """Note that this process lives: an heir takes it for the end of the last interval."""
        self._region.beat(time.time_ns())

    def fold(self, start_ns: int, cells: dict[CellKey, Cell], dropped: Mapping[tuple[str, str], int]) -> None:
        """The open interval holds all words folded so far."""
        opened = _packed([start_ns, dump_cells(cells), [[*key, items] for key, items in dropped.items()]])
        with self._lock:
            self._open = opened
            self._publish()

    def cut(self, calls: int, request: bytes) -> None:
        """The open interval has become a request of so many calls; it is kept until `taken`."""
        with self._lock:
            self._open = b""
            if request:  # what is no bytes cannot be kept
                self._outbox.append((calls, request))
            self._publish()

    def taken(self, request: bytes) -> None:
        """A request was acknowledged, or stands on disk elsewhere."""
        with self._lock:
            kept = [waiting for waiting in self._outbox if waiting[1] is not request]
            if len(kept) < len(self._outbox):
                self._outbox = kept
                self._publish(again=True)

    def forget(self) -> None:
        """Let go of it in a forked child: it is the parent's."""
        self._region.release()

    def close(self) -> None:
        """The end: what was not taken is left to an heir."""
        if self.owes:
            self._region.release()
        else:
            self._region.discard()

    def _publish(self, *, again: bool = False) -> None:
        """Put what is owed in force; `again`: no more words than last time, for those folded since are not in `_open`."""
        tail = self._region.tail if again else self.folded
        opened = self._open
        outbox = [calls.to_bytes(CALLS_BYTES, "little") + request for calls, request in self._outbox]
        while not self._region.commit(tail, [opened, *outbox]):
            # What does not fit is sent all the same, and lost only if this process is killed before.
            if opened:
                opened = b""
            else:
                outbox.pop()
        self.limit = tail + RING - 1

    def _named(self, operation: Operation) -> int:
        """The number of an operation, above the bits of ending and duration; one for all beyond the bound."""
        scope = operation.scope
        names = (scope.plugin, scope.version or "", scope.operation or "")
        with self._lock:
            code = self._codes.get(names)
            if code is None:
                number = OTHERS + 1 + len(self._codes)
                if number > MAX_NAMED or not self._region.name(_packed(names)):
                    number = OTHERS
                else:
                    self._codes[names] = number << ENDING_BITS + DURATION_BITS
                code = number << ENDING_BITS + DURATION_BITS
        operation.code = code
        return code

    def _ending(self, invocation: Invocation) -> int:
        source = invocation.source
        return _NUMBERS[invocation.outcome.value, None if source is None else source.value] << DURATION_BITS


def _packed(value: object) -> bytes:
    """Return what the region keeps of a value: JSON in UTF-8, for escaped names of other scripts would take twice the room."""
    return json.dumps(value, ensure_ascii=False).encode(
        errors="backslashreplace"
    )  # half of a pair is escaped as JSON has it


def describe(settings: Settings) -> dict[str, Any]:
    """What `resource_from` needs to make this process's resource in another; costs nothing to make."""
    told = ("service", "instance_id", "environment", "host_name")
    return {**{name: getattr(settings, name) for name in told}, "resource": dict(settings.resource), "pid": os.getpid()}


def dump_cells(cells: Mapping[CellKey, Cell]) -> list[Any]:
    """Cells as JSON can say them."""
    return [
        [
            [scope.plugin, scope.version or "", scope.operation or "", *key[1:]],
            [cell.count, cell.ns_sum, cell.ns_min, cell.ns_max, cell.cpu_seconds_estimate],
            list(cell.buckets),
            list(cell.buckets.values()),
        ]
        for key, cell in cells.items()
        for scope in (key.operation.scope,)
    ]


def load_cells(dumped: Iterable[Any], operation: Callable[[str, str, str], Any]) -> dict[CellKey, Cell]:
    """The same read back; `operation` makes what stands for an operation from plugin, version and operation."""
    cells: dict[CellKey, Cell] = {}
    for (plugin, version, name, *rest), (calls, total, low, high, cpu_seconds), indexes, counts in dumped:
        cell = cells[CellKey(operation(plugin, version, name), *rest)] = Cell()
        cell.count, cell.ns_sum, cell.ns_min, cell.ns_max = calls, total, low, high
        cell.cpu_settled_ns, cell.settled_count = cpu_seconds * 1e9, calls
        cell.buckets.update(zip(indexes, counts, strict=True))
    return cells
