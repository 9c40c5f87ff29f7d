"""Tells which blocks of spans may hold a text, from the pieces of three bytes that the block's texts are made of.

A text can only be part of another one that has all of its pieces. A block's texts are few (names, error types, messages of a
hundred thousand spans), so a set of their pieces is small, and a text that nobody wrote is in none of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "KINDS",
    "MAX_TEXT_BYTES",
    "Pieces",
    "block_filter",
    "may_hold",
    "memory_bytes",
    "pack",
    "pieces_of",
    "unpack",
]

KINDS = ("name", "error_type", "status_message")
"""Columns that a search looks into."""
PIECE = 3
BITS = 1 << 16
"""Different pieces that are told apart. A thousand names with numbers in them have 2 % of them, names with random ids in them 10 %."""
FEW = BITS // 16
"""Pieces that take as much room one by one as a bit for each that there could be."""
MAX_TEXT_BYTES = 8 * 1024 * 1024
"""Bytes of the different texts of a block. One with more would have nearly all pieces, and is always looked into."""
STRIDE = 1 << 20
"""Bytes that are looked at together: bounds the memory that it takes."""
_MIX = np.uint32(0x9E3779B1)

Places = np.ndarray[Any, np.dtype[np.uint16]]
"""Numbers of pieces, in order."""
Bits = np.ndarray[Any, np.dtype[np.uint8]]
"""One bit for each piece; bit i is bit i % 8 of byte i // 8."""
Pieces = tuple[Places | Bits, ...]
"""Pieces of each of KINDS, as a block has them: few one by one, many as bits."""


def block_filter(texts: Sequence[str | None]) -> Pieces:
    """The pieces of a block's texts, one text a line, in the order of KINDS; None: any text may be in there.

    Pieces across the ends of two lines are in it too, which costs nothing.
    """
    return tuple(_compact(np.full(BITS // 8, 0xFF, np.uint8) if part is None else _bits(part)) for part in texts)


def pieces_of(text: str) -> Places:
    """The pieces of a text that is looked for; none of a text shorter than a piece."""
    return np.unique(_places(np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)))


def may_hold(pieces: Pieces, places: Places) -> tuple[bool, ...]:
    """Return in which of KINDS a block with these pieces may hold a text with those."""
    return tuple(_has(part, places) for part in pieces)


def memory_bytes(pieces: Pieces) -> int:
    """What they take."""
    return sum(part.nbytes for part in pieces)


def pack(pieces: Pieces) -> bytes:
    """As they are stored: bits for all, compressed."""
    return zlib.compress(b"".join(_spread(part).tobytes() for part in pieces), 6)


def unpack(stored: bytes) -> Pieces:
    """Return pieces from what is stored."""
    rows = np.frombuffer(zlib.decompress(stored), np.uint8).reshape(len(KINDS), BITS // 8)
    return tuple(_compact(row) for row in rows)


def _bits(text: str) -> Bits:
    raw = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    held = np.zeros(BITS, dtype=bool)
    for begin in range(0, len(raw), STRIDE):
        held[_places(raw[begin : begin + STRIDE + PIECE - 1])] = True
    return np.packbits(held, bitorder="little")


def _places(raw: Bits) -> Places:
    if len(raw) < PIECE:
        return np.empty(0, np.uint16)
    wide = raw.astype(np.uint32)
    codes = wide[:-2] << np.uint32(16) | wide[1:-1] << np.uint32(8) | wide[2:]
    return (codes * _MIX >> np.uint32(16)).astype(np.uint16)


def _compact(bits: Bits) -> Places | Bits:
    there = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
    return there.astype(np.uint16) if len(there) < FEW else bits


def _spread(part: Places | Bits) -> Bits:
    if part.dtype == np.uint8:
        return part.astype(np.uint8, copy=False)
    held = np.zeros(BITS, dtype=bool)
    held[part] = True
    return np.packbits(held, bitorder="little")


def _has(part: Places | Bits, places: Places) -> bool:
    if part.dtype == np.uint8:
        return bool(np.all(part[places >> np.uint16(3)] >> (places & np.uint16(7)).astype(np.uint8) & np.uint8(1)))
    if not len(part):
        return not len(places)
    at = np.searchsorted(part, places)
    return bool(np.all(part[np.minimum(at, len(part) - 1)] == places))
