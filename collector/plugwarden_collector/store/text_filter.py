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
    "pack",
    "pieces_of",
    "text_filter",
    "unpack",
]

KINDS = ("name", "error_type", "status_message")
"""Columns that a search looks into."""
PIECE = 3
BITS = 1 << 16
"""8 KB a column of a block. A thousand names with numbers in them set 2 % of the bits, names with random ids in them 10 %."""
MAX_TEXT_BYTES = 8 * 1024 * 1024
"""A block whose different texts are longer together would have nearly all bits set: it is always looked into."""
STRIDE = 1 << 20
"""Bytes that are looked at together: bounds the memory that it takes."""
_MIX = np.uint32(0x9E3779B1)

Pieces = np.ndarray[Any, np.dtype[np.uint8]]
"""One bit for each piece; bit i is bit i % 8 of byte i // 8. Of a block, a row for each of KINDS."""
Places = np.ndarray[Any, np.dtype[np.uint32]]


def block_filter(texts: Sequence[str | None]) -> Pieces:
    """The pieces of a block's texts, in the order of KINDS; None: any text may be in there."""
    return np.stack([np.full(BITS // 8, 0xFF, np.uint8) if part is None else text_filter(part) for part in texts])


def text_filter(texts: str) -> Pieces:
    """The pieces of some texts, one a line. Those across the ends of two lines are in it too, which costs nothing."""
    raw = np.frombuffer(texts.encode("utf-8", "surrogatepass"), np.uint8)
    held = np.zeros(BITS, dtype=bool)
    for begin in range(0, len(raw), STRIDE):
        held[_places(raw[begin : begin + STRIDE + PIECE - 1])] = True
    return np.packbits(held, bitorder="little")


def pieces_of(text: str) -> Places:
    """Where the pieces of a text that is looked for stand; none of a text shorter than a piece."""
    return np.unique(_places(np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)))


def may_hold(pieces: Pieces, places: Places) -> tuple[bool, ...]:
    """In which of KINDS a block with these pieces may hold the text whose pieces stand at `places`."""
    bits = pieces[:, places >> np.uint32(3)] >> (places & np.uint32(7)).astype(np.uint8) & np.uint8(1)
    return tuple(np.all(bits, axis=1).tolist())


def pack(pieces: Pieces) -> bytes:
    """As it is stored."""
    return zlib.compress(pieces.tobytes(), 6)


def unpack(stored: bytes) -> Pieces:
    """From what is stored."""
    return np.frombuffer(zlib.decompress(stored), np.uint8).reshape(len(KINDS), BITS // 8)


def _places(raw: Pieces) -> Places:
    if len(raw) < PIECE:
        return np.empty(0, np.uint32)
    wide = raw.astype(np.uint32)
    codes = wide[:-2] << np.uint32(16) | wide[1:-1] << np.uint32(8) | wide[2:]
    places: Places = codes * _MIX >> np.uint32(16)
    return places
