"""A small file mapped into memory: what a process has counted and no collector has taken, where a kill does not reach.

Layout, in 64-bit words of this machine: a header, the names behind the numbers (a line of JSON each, only ever added to),
two places for a snapshot, and a ring with one word a call. A snapshot is written beside the one in force, and one store of
one word puts it in force together with how far into the ring it counts; so a process may be killed between any two
instructions and the file says one thing. Whoever reads it has to hold its lock, which the kernel lets go of when its process
ends.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from itertools import count
from pathlib import Path
from typing import Final

from plugwarden.contract.value import value
from plugwarden.files import close_to_others, make_private

__all__ = ["RING", "SIZE", "SNAPSHOT_BYTES", "SUFFIX", "Left", "Region"]

SUFFIX: Final = ".calls"
RING: Final = 16_384
"""Calls that may have ended and not been folded: twice what the queue holds before callers help with folding."""
_MAGIC: Final = 0x3153_4C4C_4143_5750  # "PWCALLS1"
_MAGIC_AT, _COMMIT_AT, _BEAT_AT, _NAMES_AT, _LENGTHS_AT, _HEADER_WORDS = 0, 1, 2, 3, 4, 8
_NAMES_BYTES: Final = 48 * 1024
SNAPSHOT_BYTES: Final = 96 * 1024
"""Some 300 time series and a few requests that wait."""
_NAMES_FROM: Final = _HEADER_WORDS * 8
_SNAPSHOTS_FROM: Final = _NAMES_FROM + _NAMES_BYTES
_RING_FROM: Final = _SNAPSHOTS_FROM + 2 * SNAPSHOT_BYTES
SIZE: Final = _RING_FROM + RING * 8
_LENGTH = struct.Struct("<Q")
_numbers = count()


@value
class Left:
    """What stands in a region."""

    names: list[bytes]
    """The lines written with `name`, in order."""
    parts: list[bytes]
    """The snapshot in force, as it was given to `commit`."""
    calls: list[int]
    """The words of the ring that the snapshot does not count."""
    beat_ns: int
    """When its process was last seen to live, wall clock."""


class Region:
    """One mapped file. Made by its owner with `create`, opened by others with `open` once its owner has ended."""

    __slots__ = ("_lock", "_map", "_words", "path", "ring", "tail")

    def __init__(self, path: Path, lock: int, mapped: mmap.mmap) -> None:
        self.path = path
        self._lock = lock
        self._map = mapped
        self._words = memoryview(mapped).cast("Q")
        self.ring = self._words[_RING_FROM // 8 :]
        """One word for each of the last calls; 0 where there is none."""
        self.tail = 0
        """How many words were ever taken out of the ring by a snapshot."""

    @classmethod
    def create(cls, folder: Path, at_most: int) -> Region:
        """A new region in a folder that holds fewer than `at_most`; raises `OSError` where there is no room for it.

        All of it is allocated at once: a store into a hole of a file, on a disk that is full, would kill the host.
        """
        make_private(folder)
        close_to_others(folder)
        found = os.lstat(folder)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(f"{folder} is not private to this user")
        if sum(entry.name.endswith(SUFFIX) for entry in os.scandir(folder)) >= at_most:
            raise OSError(f"{folder} holds {at_most} files of calls that wait for a collector")
        path = folder / f"{os.getpid()}-{time.time_ns():x}-{next(_numbers)}{SUFFIX}"
        draft = path.with_suffix(".new")
        lock = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(lock, "wb", closefd=False) as sink:
                sink.write(bytes(SIZE))
            region = cls(path, lock, _mapped(draft))
            region._words[_MAGIC_AT] = _MAGIC
            region.beat(time.time_ns())
            draft.rename(path)  # from here on others may find it, and find it locked
        except BaseException:
            draft.unlink(missing_ok=True)
            os.close(lock)
            raise
        return region

    @classmethod
    def open(cls, path: Path) -> Region:
        """A region whose owner has ended.

        Raises `BlockingIOError` while somebody holds it, `ValueError` when it is none of ours, `OSError` when it is gone.
        """
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            state = os.fstat(lock)
            if state.st_nlink == 0:
                raise FileNotFoundError(f"{path} was dealt with by another process")
            if state.st_size != SIZE or state.st_uid != os.geteuid():
                raise ValueError(f"{path} holds no calls of ours")
            region = cls(path, lock, _mapped(path))
            if region._words[_MAGIC_AT] != _MAGIC:
                raise ValueError(f"{path} holds no calls of ours")
        except BaseException:
            os.close(lock)
            raise
        return region

    # -- the owner's side -----------------------------------------------------------------------------------------------

    def name(self, line: bytes) -> bool:
        """Add a line to the names; False when there is no room for it."""
        used = self._words[_NAMES_AT]
        if used + len(line) + 1 > _NAMES_BYTES:
            return False
        start = _NAMES_FROM + used
        self._map[start : start + len(line) + 1] = line + b"\n"
        self._words[_NAMES_AT] = used + len(line) + 1
        return True

    def beat(self, at_ns: int) -> None:
        """Note that the process lives."""
        self._words[_BEAT_AT] = at_ns

    def commit(self, tail: int, parts: list[bytes]) -> bool:
        """Put a snapshot in force that counts the first `tail` words of the ring; False when it is too large."""
        data = b"".join(piece for part in parts for piece in (_LENGTH.pack(len(part)), part))
        if len(data) > SNAPSHOT_BYTES:
            return False
        words = self._words
        slot = 1 - (words[_COMMIT_AT] & 1)
        start = _SNAPSHOTS_FROM + slot * SNAPSHOT_BYTES
        self._map[start : start + len(data)] = data
        words[_LENGTHS_AT + slot] = len(data)
        words[_COMMIT_AT] = tail << 1 | slot
        for first, length in _spans(self.tail, tail):
            self.ring[first : first + length] = memoryview(bytes(8 * length)).cast("Q")
        self.tail = tail
        return True

    # -- the heir's side ------------------------------------------------------------------------------------------------

    def read(self) -> Left:
        """All that stands in it; raises `ValueError` where the file contradicts itself."""
        words = self._words
        tail, slot = words[_COMMIT_AT] >> 1, words[_COMMIT_AT] & 1
        length, named = words[_LENGTHS_AT + slot], words[_NAMES_AT]
        if length > SNAPSHOT_BYTES or named > _NAMES_BYTES:
            raise ValueError(f"{self.path} contradicts itself")
        start = _SNAPSHOTS_FROM + slot * SNAPSHOT_BYTES
        data, parts = self._map[start : start + length], []
        while data:
            (size,) = _LENGTH.unpack(data[:8])
            parts.append(data[8 : 8 + size])
            data = data[8 + size :]
        calls = []
        for number in range(tail, tail + RING - 1):
            word = self.ring[number % RING]
            if word == 0:
                break
            calls.append(word)
        return Left(self._map[_NAMES_FROM : _NAMES_FROM + named].splitlines(), parts, calls, words[_BEAT_AT])

    # -- both -----------------------------------------------------------------------------------------------------------

    def discard(self) -> None:
        """Nothing in it is owed any more: delete it."""
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let go of it, for others to find; in a forked child of its owner: let go of the child's share in the lock."""
        if self._lock >= 0:
            lock, self._lock = self._lock, -1
            os.close(lock)


def _mapped(path: Path) -> mmap.mmap:
    """The file, mapped by a descriptor of its own: a map keeps its descriptor, and must not keep the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return mmap.mmap(descriptor, SIZE)
    finally:
        os.close(descriptor)


def _spans(start: int, end: int) -> list[tuple[int, int]]:
    """The stretches (first, length) of the ring between two running numbers, at most one turn apart."""
    first, length = start % RING, end - start
    if first + length <= RING:
        return [(first, length)] if length else []
    return [(first, RING - first), (0, first + length - RING)]
