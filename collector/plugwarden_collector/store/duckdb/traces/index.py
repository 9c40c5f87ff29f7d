"""Finds the few blocks of `span_rows` that may hold a trace.

Trace ids are random, so neither order nor zone maps help, and an index over every span would take more space than the span.
Spans are stored in the order of their commits: a run of commits with about `BLOCK_SPANS` spans is a block, and each closed
block has a Bloom filter over its trace ids. A lookup tests the filters in memory and reads only the blocks that may hold the
trace, which DuckDB finds by the zone maps of the column `batch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import numpy as np

from plugwarden_collector.store.duckdb.statements import statement

from .trigrams import (
    KINDS,
    MAX_TEXT_BYTES,
    Pieces,
    block_filter,
    may_hold,
    memory_bytes,
    pack,
    pieces_of,
    unpack,
)

__all__ = ["Block", "Found", "Run", "TextRuns", "TraceIndex", "read_blocks"]

BLOCK_SPANS = 122_880
"""Spans of a block: DuckDB's row group, so that a block is about one unit of reading."""
BITS_PER_TRACE = 12
PROBES = 6
"""With 12 bits a trace and 6 probes about one block in 200 is read in vain (Bloom's formula, (1 - e^(-6/12))^6 = 0.37 %)."""
_WORD = (1 << 64) - 1
_MIX = 0x9E3779B97F4A7C15

Words = np.ndarray[Any, np.dtype[np.uint64]]
ANY_KIND, NO_KIND = (True,) * len(KINDS), (False,) * len(KINDS)
Run = tuple[int, int]
"""The first and the last of some batches that follow each other."""


@dataclass(frozen=True, slots=True)
class Block:
    """A closed run of batches."""

    first_batch: int
    last_batch: int
    first_at: datetime
    last_at: datetime
    """When its spans started."""
    bits: bytes
    """The Bloom filter."""
    texts: Pieces | None = None
    """What its texts are made of; None: not known yet."""

    @property
    def run(self) -> Run:
        """Its batches."""
        return self.first_batch, self.last_batch


@dataclass(frozen=True, slots=True)
class TextRuns:
    """Where a text may be."""

    closed: list[Run]
    """Runs of batches that closed blocks hold."""
    kinds: tuple[bool, ...]
    """Whether the text may stand in each of the columns, in the order of KINDS."""
    open: Run
    """Run of batches of the block that is not closed, of which nothing is known."""


@dataclass(frozen=True, slots=True)
class _Closed:
    """What a lookup goes by, replaced as a whole: a lookup in another thread must see a block either closed or open."""

    blocks: tuple[Block, ...]
    open_from: int
    """The first batch of the open block."""
    known: bool = True
    """False before the blocks that the store has are read: all of it is open."""


@dataclass(frozen=True, slots=True)
class _Open:
    """Trace ids of the open block, one a span; what a lookup holds does not change while more are added."""

    room: Words
    count: int

    @property
    def keys(self) -> Words:
        return self.room[: self.count]

    def with_more(self, keys: Words) -> _Open:
        """These and more of them, in the same room where they fit."""
        count, room = self.count + len(keys), self.room
        if count > len(room):
            room = np.empty(max(count, 2 * len(room)), np.uint64)
            room[: self.count] = self.keys
        room[self.count : count] = keys
        return _Open(room, count)


@dataclass(frozen=True, slots=True)
class Found:
    """What a store has of the index."""

    blocks: tuple[Block, ...]
    open_from: int


class TraceIndex:
    """Kept by the writer's thread; looked up from any thread.

    Until `take` is told what the store has, everything up to what `reach` was told of is one open block of which nothing is
    known: lookups read all spans, and find what is there.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection | None = None) -> None:
        """With a connection, what its store has is read at once."""
        self._closed = _Closed((), 0, known=False)
        self._open = _Open(np.empty(0, np.uint64), 0)
        self._unsure = True
        """Whether the open block may hold spans that are not in the list."""
        self._open_to = 0
        self._open_spans = 0
        if connection is not None:
            self.take(read_blocks(connection), connection)

    def take(self, found: Found, connection: duckdb.DuckDBPyConnection) -> None:
        """Let lookups go by what was found from here on. Reads what was stored since the last closed block; for the writer's thread."""
        self._open, self._open_spans = _Open(np.empty(BLOCK_SPANS, np.uint64), 0), 0
        self._open_to = max(self._open_to, found.open_from)
        tail = connection.sql(statement("unindexed_traces").sql, params={"first": found.open_from})
        for batch in tail.to_arrow_reader():
            self._list(batch.column("batch")[-1].as_py(), batch.column("trace_hi"), batch.column("trace_lo"))
        # In this order: to a lookup in another thread the open block is unsure until the closed ones are there to be seen.
        self._closed = _Closed(found.blocks, found.open_from)
        self._unsure = False

    def reach(self, batch: int) -> None:
        """Batches up to this one are stored."""
        self._open_to = max(self._open_to, batch)

    @property
    def known(self) -> bool:
        """Whether lookups go by what the store has of the index."""
        return self._closed.known

    def add(self, batch: int, hi: Any, lo: Any) -> None:
        """Spans were stored in a batch. `hi` and `lo`: the halves of their trace ids, Arrow uint64."""
        if not self.known:
            self.reach(batch)  # `take` reads them
            return
        self._unsure = True  # what fails below leaves spans that are stored and not listed
        self._list(batch, hi, lo)
        self._unsure = False

    def _list(self, batch: int, hi: Any, lo: Any) -> None:
        self._open = self._open.with_more(_folded(hi.to_numpy(), lo.to_numpy()))
        self._open_spans += len(hi)
        self.reach(batch)

    @property
    def full(self) -> bool:
        """Whether the open block is due to be closed."""
        return self.known and self._open_spans >= BLOCK_SPANS

    def make_block(self, connection: duckdb.DuckDBPyConnection, *, texts: bool = True) -> Block:
        """Make the open block's filters and store them; the caller holds the transaction, and closes the block after it."""
        traces = np.unique(self._open.keys)
        first, last, bits = self._closed.open_from, self._open_to, _filter(traces)
        parameters = {"first": first, "last": last, "spans": self._open_spans, "traces": len(traces), "filter": bits}
        first_at, last_at = connection.execute(statement("insert_trace_block").sql, parameters).fetchall()[0]
        pieces = _store_texts(connection, (first, last)) if texts else None
        return Block(first, last, first_at, last_at, bits, pieces)

    def close_block(self, block: Block) -> None:
        """Begin the next block after one that was stored."""
        self._closed = _Closed((*self._closed.blocks, block), block.last_batch + 1)
        self._open, self._open_spans = _Open(self._open.room, 0), 0
        self._unsure = False

    def unread(self) -> list[Run]:
        """Blocks whose texts are not known: an earlier version closed them."""
        return [block.run for block in self._closed.blocks if block.texts is None]

    def read_texts(self, connection: duckdb.DuckDBPyConnection, run: Run) -> tuple[Run, Pieces]:
        """Store what the texts of such a block hold; `take_texts` is told of the answer once it is committed."""
        return run, _store_texts(connection, run)

    def take_texts(self, found: tuple[Run, Pieces]) -> None:
        """Let searches go by what `read_texts` found from here on."""
        run, texts = found
        blocks = (replace(block, texts=texts) if block.run == run else block for block in self._closed.blocks)
        self._closed = replace(self._closed, blocks=tuple(blocks))

    def give_up_texts(self, run: Run) -> None:
        """What the texts of such a block hold cannot be told: it may be anything, until the next start looks again."""
        self.take_texts((run, block_filter([None] * len(KINDS))))

    def close_blindly(self) -> None:
        """Begin the next block after one that could not be stored: until the next start it may hold any trace and any text."""
        any_text = block_filter([None] * len(KINDS))
        self.close_block(Block(self._closed.open_from, self._open_to, datetime.min, datetime.max, b"\xff", any_text))

    def expire(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let go of blocks of which no span is left. In memory first: a block too few only costs a look at it."""
        oldest: int = connection.execute(statement("oldest_batch").sql).fetchall()[0][0]
        blocks = tuple(block for block in self._closed.blocks if block.last_batch >= oldest)
        self._closed = replace(self._closed, blocks=blocks)
        connection.execute(statement("expire_trace_blocks").sql, {"oldest": oldest})
        connection.execute(statement("expire_trace_texts").sql, {"oldest": oldest})

    def candidates(self, hi: int, lo: int) -> list[Run]:
        """Runs of batches that may hold a trace, newest first."""
        # The open block first: one that is closed meanwhile is found in either.
        key, opened, unsure = _fold_one(hi, lo), self._open, self._unsure
        may_be_open = unsure or bool((opened.keys == key).any())
        closed = self._closed
        found = [block.run for block in reversed(closed.blocks) if _holds(block.bits, key)]
        return [(closed.open_from, 2**63 - 1), *found] if may_be_open else found

    def candidates_of_all(self, hi: Sequence[int], lo: Sequence[int]) -> list[Run]:
        """Runs that may hold any of some traces, oldest first."""
        keys, closed = _folded(np.array(hi, np.uint64), np.array(lo, np.uint64)), self._closed
        return _joined(
            [*(block.run for block in closed.blocks if _holds_any(block.bits, keys)), self._open_run(closed)]
        )

    def candidates_with(self, text: str, since: datetime, until: datetime) -> TextRuns | None:
        """Where spans of a span of time may hold a text, which is in DuckDB's lower case; None: in most blocks."""
        places, closed = pieces_of(text), self._closed
        if not len(places) or not closed.known:
            return None
        blocks = [block for block in closed.blocks if block.last_at > since and block.first_at <= until]
        held = [(block.run, ANY_KIND if block.texts is None else may_hold(block.texts, places)) for block in blocks]
        found = [(run, kinds) for run, kinds in held if any(kinds)]
        if len(found) * 2 > len(blocks):
            return None
        kinds = tuple(any(of) for of in zip(*(kinds for _, kinds in found), strict=True)) if found else NO_KIND
        return TextRuns(_joined(run for run, _ in found), kinds, self._open_run(closed))

    def memory_bytes(self) -> int:
        """What the filters take."""
        blocks = self._closed.blocks
        texts = sum(memory_bytes(block.texts) for block in blocks if block.texts is not None)
        return texts + sum(len(block.bits) for block in blocks)

    def _open_run(self, closed: _Closed) -> Run:
        return closed.open_from, max(closed.open_from, self._open_to)


def read_blocks(connection: duckdb.DuckDBPyConnection) -> Found:
    """The closed blocks of a store. Takes a third of a millisecond a block, most of it for unpacking texts' filters."""
    rows = connection.execute(statement("list_trace_blocks").sql).fetchall()
    blocks = tuple(
        Block(int(first), int(last), first_at, last_at, bytes(bits), None if texts is None else unpack(bytes(texts)))
        for first, last, first_at, last_at, bits, texts in rows
    )
    oldest: int = connection.execute(statement("oldest_batch").sql).fetchall()[0][0]
    return Found(_without_gaps(blocks, oldest), blocks[-1].last_batch + 1 if blocks else 0)


def _without_gaps(blocks: Sequence[Block], oldest: int) -> tuple[Block, ...]:
    """Where a salvaged store lost blocks, blocks that may hold anything: their spans must be found all the same."""
    whole: list[Block] = []
    following = oldest
    for block in blocks:
        if following < block.first_batch:
            any_text = block_filter([None] * len(KINDS))
            whole.append(Block(following, block.first_batch - 1, datetime.min, datetime.max, b"\xff", any_text))
        whole.append(block)
        following = block.last_batch + 1
    return tuple(whole)


def _joined(runs: Iterable[Run]) -> list[Run]:
    """Runs that follow each other as one."""
    whole: list[Run] = []
    for first, last in runs:
        if whole and whole[-1][1] + 1 == first:
            first = whole.pop()[0]
        whole.append((first, last))
    return whole


def _store_texts(connection: duckdb.DuckDBPyConnection, run: Run) -> Pieces:
    batches = {"first": run[0], "last": run[1]}
    rows = connection.execute(statement("block_texts").sql, {**batches, "most": MAX_TEXT_BYTES}).fetchall()
    pieces = block_filter(rows[0])
    connection.execute(statement("insert_trace_texts").sql, {**batches, "filter": pack(pieces)})
    return pieces


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


def _holds_any(bits: bytes, keys: Words) -> bool:
    held = np.frombuffer(bits, np.uint8)
    size = np.uint64(len(bits) * 8)
    step = (keys >> np.uint64(33)) | np.uint64(1)
    for probe in range(PROBES):
        places = (keys + step * np.uint64(probe)) % size
        hit = held[places >> np.uint64(3)] >> (places & np.uint64(7)).astype(np.uint8) & np.uint8(1)
        keys, step = keys[hit > 0], step[hit > 0]
        if not len(keys):
            return False
    return True
