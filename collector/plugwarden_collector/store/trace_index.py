"""Finds the few blocks of `span_rows` that may hold a trace.

Trace ids are random, so neither order nor zone maps help, and an index over every span would take more space than the span.
Spans are stored in the order of their commits: a run of commits with about `BLOCK_SPANS` spans is a block, and each closed
block has a Bloom filter over its trace ids. A lookup tests the filters in memory and reads only the blocks that may hold the
trace, which DuckDB finds by the zone maps of the column `batch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from .statements import statement

__all__ = ["Block", "TraceIndex"]

BLOCK_SPANS = 122_880
"""DuckDB's row group: a block is about one unit of reading."""
BITS_PER_TRACE = 12
PROBES = 6
"""With 12 bits a trace and 6 probes about one block in 200 is read in vain (Bloom's formula, (1 - e^(-6/12))^6 = 0.37 %)."""
_WORD = (1 << 64) - 1
_MIX = 0x9E3779B97F4A7C15

Words = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True)
class Block:
    """A closed run of batches."""

    first_batch: int
    last_batch: int
    bits: bytes
    """The Bloom filter."""


class TraceIndex:
    """Kept by the writer's thread; looked up from any thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        rows = connection.execute(statement("list_trace_blocks").sql).fetchall()
        self._blocks = [Block(int(first), int(last), bytes(bits)) for first, last, bits in rows]
        self._open_from = self._blocks[-1].last_batch + 1 if self._blocks else 0
        self._open: list[Words] = []
        self._open_to = self._open_from
        self._open_spans = 0
        tail = connection.sql(statement("unindexed_traces").sql, params={"first": self._open_from})
        for batch in tail.to_arrow_reader():
            self.add(batch.column("batch")[-1].as_py(), batch.column("trace_hi"), batch.column("trace_lo"))

    def add(self, batch: int, hi: Any, lo: Any) -> None:
        """Spans were stored in a batch. `hi` and `lo`: the halves of their trace ids, Arrow uint64."""
        self._open.append(_folded(hi.to_numpy(), lo.to_numpy()))
        self._open_spans += len(hi)
        self._open_to = max(self._open_to, batch)

    @property
    def full(self) -> bool:
        """Whether the open block is due to be closed."""
        return self._open_spans >= BLOCK_SPANS

    def make_block(self, connection: duckdb.DuckDBPyConnection) -> Block:
        """Make the open block's filter and store it; the caller holds the transaction, and closes the block after it."""
        traces = np.unique(np.concatenate(self._open))
        block = Block(self._open_from, self._open_to, _filter(traces))
        parameters = {
            "first": block.first_batch,
            "last": block.last_batch,
            "spans": self._open_spans,
            "traces": len(traces),
            "filter": block.bits,
        }
        connection.execute(statement("insert_trace_block").sql, parameters)
        return block

    def close_block(self, block: Block) -> None:
        """Begin the next block after one that was stored."""
        self._blocks = [*self._blocks, block]
        self._open_from = block.last_batch + 1
        self._open, self._open_spans = [], 0

    def expire(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let go of blocks of which no span is left. In memory first: a block too few only costs a look at it."""
        oldest: int = connection.execute(statement("oldest_batch").sql).fetchall()[0][0]
        self._blocks = [block for block in self._blocks if block.last_batch >= oldest]
        connection.execute(statement("expire_trace_blocks").sql, {"oldest": oldest})

    def candidates(self, hi: int, lo: int) -> list[tuple[int, int]]:
        """Runs of batches (first, last) that may hold a trace, newest first; the open block always may."""
        key = _fold_one(hi, lo)
        found = [(block.first_batch, block.last_batch) for block in reversed(self._blocks) if _holds(block.bits, key)]
        return [(self._open_from, 2**63 - 1), *found]

    def memory_bytes(self) -> int:
        """What the filters take."""
        return sum(len(block.bits) for block in self._blocks)


def _folded(hi: Words, lo: Words) -> Words:
    """One well mixed 64-bit number a trace id: some clients make ids of which only the low half is random, or none."""
    mixed = (hi ^ (lo << np.uint64(32) | lo >> np.uint64(32))) * np.uint64(_MIX)
    mixed = (mixed ^ (mixed >> np.uint64(29)) ^ lo) * np.uint64(_MIX)
    folded: Words = mixed ^ (mixed >> np.uint64(32))
    return folded


def _fold_one(hi: int, lo: int) -> int:
    return int(_folded(np.array([hi], np.uint64), np.array([lo], np.uint64))[0])


def _filter(traces: Words) -> bytes:
    size = max(1, (len(traces) * BITS_PER_TRACE + 7) // 8)
    bits = np.zeros(size * 8, dtype=bool)
    step = (traces >> np.uint64(33)) | np.uint64(1)
    for probe in range(PROBES):
        bits[(traces + step * np.uint64(probe)) % np.uint64(size * 8)] = True
    return np.packbits(bits, bitorder="little").tobytes()


def _holds(bits: bytes, key: int) -> bool:
    size = len(bits) * 8
    step = (key >> 33) | 1
    for probe in range(PROBES):
        place = ((key + step * probe) & _WORD) % size
        if not bits[place >> 3] >> (place & 7) & 1:
            return False
    return True
