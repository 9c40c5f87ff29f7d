"""What DuckDB's two files look like on disk, read without DuckDB: headers, and the frames of the write-ahead log.

DuckDB takes a log that it cannot make sense of for one that a crash cut short: it uses what comes before and deletes the
rest. That is right for the last, unfinished commit and wrong for a flipped bit in the middle, after which acknowledged
commits follow. Only the frames tell the two apart, so they are read here before DuckDB opens anything.
Layout: duckdb/duckdb, src/storage/{single_file_block_manager,wal_replay,checksum}.cpp.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

__all__ = [
    "HEADER_BYTES", "Header", "Log", "LogState", "bytes_in_use", "checksum", "main_header_is_whole", "read_header", "read_log",
    "with_identifier",
]  # fmt: skip

HEADER_BYTES = 4096
"""The main header and, behind it, two database headers that checkpoints write in turn."""
MAGIC = b"DUCK"
_NOWHERE = (1 << 64) - 1
_BLOCK_MASK = (1 << 56) - 1
_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SEED = 5381
_MASK = (1 << 64) - 1
_CHUNK_BYTES = 8 * 1024 * 1024
_OPENING = b"\x64\x00\x62\x65\x00\x02\x66\x00\x10"
"""The first entry: field 100, its kind, is 98 (a version); field 101, the version, is 2; field 102 is 16 bytes, the database."""
_IDENTIFIER_BYTES = 16
_IDENTIFIER_AT = 124
"""In the main header."""
_ITERATION_FIELD = b"\x67\x00"
_END = b"\xff\xff"
_CHECKPOINT = b"\x64\x00\x63"
_COMMIT_BODY = b"\x64\x00\x64\xff\xff"


@dataclass(frozen=True, slots=True)
class Header:
    """One of the two database headers."""

    iteration: int
    """Grows with each checkpoint; the larger one of the two is in force."""
    free_list: int
    """Where the list of free blocks begins: the block, and in the topmost byte which part of it."""
    blocks: int
    """How many blocks there are, free ones at the end included, which a checkpoint cuts off the file afterwards."""
    block_bytes: int

    def end_of(self, block: int) -> int:
        """Where a block ends in the file."""
        return 3 * HEADER_BYTES + (block + 1) * self.block_bytes


class LogState(StrEnum):
    """What the frames of a write-ahead log say."""

    WHOLE = "whole"
    """Ends with a commit."""
    UNFINISHED = "unfinished"
    """Ends inside a commit that nobody was told of, or was cut there."""
    DAMAGED = "damaged"
    """A frame is broken, and commits follow it."""


@dataclass(frozen=True, slots=True)
class Log:
    """A write-ahead log, as read from its frames."""

    state: LogState
    nbytes: int
    commits: int = 0
    """Commits up to `good_bytes`."""
    good_bytes: int = 0
    """Where the last commit ends that everything before is whole for."""
    lost_commits: int = 0
    """Commits after a broken frame."""
    iteration: int | None = None
    """The checkpoint that the log continues; None when its first entry cannot be read."""
    identifier: bytes = b""
    """The database that the log belongs to."""


def checksum(data: memoryview | bytes) -> int:
    """DuckDB's checksum: every word times a constant, all of them combined by exclusive or."""
    words = len(data) // 8
    result = _SEED
    for start in range(0, words * 8, _CHUNK_BYTES):
        part = np.frombuffer(data, "<u8", min(_CHUNK_BYTES // 8, words - start // 8), start)
        result ^= int(np.bitwise_xor.reduce(part * _FACTOR))
    rest = bytes(data[words * 8 :])
    return result ^ _checksum_of_rest(rest) if rest else result


def main_header_is_whole(file: Path) -> bool:
    """Whether the first header is DuckDB's and intact."""
    with file.open("rb") as opened:
        raw = opened.read(HEADER_BYTES)
    return len(raw) == HEADER_BYTES and raw[8:12] == MAGIC and _sealed(raw)


def read_header(file: Path, slot: int) -> Header | None:
    """Database header 0 or 1; None when it is damaged."""
    with file.open("rb") as opened:
        opened.seek((slot + 1) * HEADER_BYTES)
        raw = opened.read(HEADER_BYTES)
    if len(raw) < HEADER_BYTES or not _sealed(raw):
        return None
    iteration, _, free_list, blocks, block_bytes = (int(word) for word in np.frombuffer(raw, "<u8", 5, 8))
    return Header(iteration, free_list, blocks, block_bytes)


def bytes_in_use(file: Path, header: Header) -> int | None:
    """How long the file must be to hold every block that is not free; None when the list of free blocks is damaged."""
    free: list[int] = []
    # A block of metadata is 64 parts of whole words behind its checksum; each begins with a pointer to the next one.
    part_bytes = (header.block_bytes - 8) // 64 // 8 * 8
    pointer, wanted = header.free_list, 1
    with file.open("rb") as opened:
        while pointer != _NOWHERE and len(free) < wanted:
            block, part = pointer & _BLOCK_MASK, pointer >> 56
            opened.seek(header.end_of(block - 1))
            raw = opened.read(header.block_bytes)
            if len(raw) < header.block_bytes:
                return header.end_of(block)
            if not _sealed(raw):
                return None
            words = np.frombuffer(raw, "<u8", part_bytes // 8, 8 + part * part_bytes)
            first = 1 if free or wanted > 1 else 2
            wanted = wanted if first == 1 else int(words[1])
            free += (int(word) for word in words[first : first + wanted - len(free)])
            pointer = int(words[0])
    unused, last = set(free), header.blocks - 1
    while last in unused:
        last -= 1
    return header.end_of(last)


def with_identifier(header: bytes, identifier: bytes) -> bytes:
    """A main header for another database."""
    raw = header[8:_IDENTIFIER_AT] + identifier + header[_IDENTIFIER_AT + len(identifier) :]
    return checksum(raw).to_bytes(8, "little") + raw


def read_log(file: Path) -> Log:
    """Walk the frames of a write-ahead log."""
    size = file.stat().st_size
    if size == 0:
        return Log(LogState.UNFINISHED, 0)  # a log is made with its first entry in it
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        view = memoryview(data)
        try:
            return _walk(data, view, size)
        finally:
            view.release()


def _walk(data: mmap.mmap, view: memoryview, size: int) -> Log:
    commit = len(_COMMIT_BODY).to_bytes(8, "little") + checksum(_COMMIT_BODY).to_bytes(8, "little") + _COMMIT_BODY
    opening = _opening(data[:256])
    if opening is None:
        lost = _count(data, commit, 0)
        # The first entry is written by itself: without a commit behind it, a crash can have cut it.
        return Log(LogState.DAMAGED if lost else LogState.UNFINISHED, size, lost_commits=lost)
    end, identifier, iteration = opening
    position = good = end
    commits = 0
    while position + 16 <= size:
        length = int.from_bytes(view[position : position + 8], "little")
        body = view[position + 16 : position + 16 + length]
        if length > size - position - 16 or checksum(body) != int.from_bytes(
            view[position + 8 : position + 16], "little"
        ):
            break
        position += 16 + length
        if body == _COMMIT_BODY:
            commits, good = commits + 1, position
        elif body[:3] == _CHECKPOINT:
            good = position  # it stands by itself, and says whether the log was brought into the file already
    lost = _count(data, commit, position)
    state = LogState.DAMAGED if lost else LogState.WHOLE if good == size else LogState.UNFINISHED
    return Log(state, size, commits, good, lost, iteration, identifier)


def _count(data: mmap.mmap, pattern: bytes, start: int) -> int:
    found, at = 0, data.find(pattern, start)
    while at >= 0:
        found, at = found + 1, data.find(pattern, at + len(pattern))
    return found


def _opening(first: bytes) -> tuple[int, bytes, int] | None:
    """Where the first entry ends, the database it names, and the checkpoint it continues; None when it is broken."""
    if not first.startswith(_OPENING):
        return None
    position = len(_OPENING)
    numbers: list[int] = []
    while len(numbers) < _IDENTIFIER_BYTES:
        value, position = _varint(first, position)
        numbers.append(value)
    if max(numbers) > 255 or first[position : position + 2] != _ITERATION_FIELD:
        return None
    iteration, position = _varint(first, position + 2)
    return (position + 2, bytes(numbers), iteration) if first[position : position + 2] == _END else None


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    for byte in raw[position : position + 9]:
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, position


def _sealed(raw: bytes) -> bool:
    return checksum(raw[8:]) == int.from_bytes(raw[:8], "little")


def _checksum_of_rest(rest: bytes) -> int:
    """The last bytes that do not fill a word: one round of MurmurHash64A."""
    factor = 0xC6A4A7935BD1E995
    value = 0xE17A1465 ^ (len(rest) * factor & _MASK)
    value = (value ^ int.from_bytes(rest, "little")) * factor & _MASK
    value = (value ^ value >> 47) * factor & _MASK
    return value ^ value >> 47
