"""Request bytes that are made once and sent many times: before each sending their times and ids are written over in place."""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["Stamped"]

Numbers = np.ndarray[Any, np.dtype[np.uint64]]


class Stamped:
    """One request as it goes out again and again, always as new telemetry: same sizes, other times and other ids.

    Every time moves by the same length and every id by the same number, so that durations, parents and links stay true.
    """

    def __init__(self, body: bytes, times: Iterable[int], ids: Iterable[bytes]) -> None:
        """`times` (ns) and `ids` (8 or 16 bytes) that stand in `body`, once or more often."""
        self._body = np.frombuffer(bytearray(body), dtype=np.uint8)
        self._times, self._time_at = _places(body, (struct.pack("<Q", time) for time in times), "<u8")
        # Of a trace id the first half moves; that is enough to make it new.
        self._ids, self._id_at = _places(body, ids, ">u8")

    def __len__(self) -> int:
        return len(self._body)

    def renamed(self, names: Mapping[bytes, bytes]) -> Stamped:
        """A copy with other texts in it, each as long as the one it stands for."""
        body = self._body.tobytes()
        for old, new in names.items():
            if len(old) != len(new):
                raise ValueError(f"{new!r} is not as long as {old!r}")
            body = body.replace(old, new)
        other = copy.copy(self)
        other._body = np.frombuffer(bytearray(body), dtype=np.uint8)
        return other

    def stamp(self, later_ns: int, number: int) -> bytes:
        """The bytes with all times moved by `later_ns`, and ids that no other `number` gives."""
        times: Numbers = self._times + np.uint64(later_ns)
        self._body[self._time_at] = times.astype("<u8").view(np.uint8)
        ids: Numbers = self._ids + np.uint64(number * 0x9E3779B97F4A7C15 % 2**64)
        self._body[self._id_at] = ids.astype(">u8").view(np.uint8)
        return self._body.tobytes()


def _places(body: bytes, texts: Iterable[bytes], kind: str) -> tuple[Numbers, np.ndarray[Any, np.dtype[np.int64]]]:
    """The first 8 bytes of each text as a number, once for each place where they stand, and the bytes' indexes."""
    wanted = np.array([np.frombuffer(text[:8], dtype=kind)[0] for text in set(texts)], dtype=np.uint64)
    # The number that begins at each byte: all places are found in one pass.
    windows = np.ndarray((len(body) - 7,), dtype=kind, buffer=body, strides=(1,))
    starts = np.flatnonzero(np.isin(windows, wanted))
    at = (starts[:, None] + np.arange(8)).ravel()
    return windows[starts].astype(np.uint64), at
