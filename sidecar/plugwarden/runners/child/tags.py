"""The format of what goes between a host and its worker process. Standard library only: the worker loads it before anything else.

What the host sends is trusted and pickled as it is. What a worker sends is not: it may be anything that a plugin made of
its process. It answers in a format that can say values and nothing else (ADR 0029). A frame is its length and one value:

    value      = tag, then by its tag: nothing, a fixed number of bytes, a length and bytes, or a count and so many values
    dictionary = count, all keys, all values
    run        = in place of n values of a container: a count and n numbers, or n lengths and one text for all

Nothing in it can refer to anything else in it, so that what is read is as large as what was sent: no value is twice in
another, no reference leads round, and no name of a class or function is ever looked up.
"""

from __future__ import annotations

import struct

__all__ = [
    "DATE", "FLOAT", "FRAME", "INT", "LENGTH", "MAX_DEPTH", "MAX_INT_BYTES", "MOMENT", "PAIR", "SPAN", "TIME", "Tag",
]  # fmt: skip

FRAME = struct.Struct(">I")
"""A frame's length in bytes goes before it."""
LENGTH = struct.Struct("<I")
INT = struct.Struct("<q")
FLOAT = struct.Struct("<d")
PAIR = struct.Struct("<dd")
DATE = struct.Struct("<HBB")
TIME = struct.Struct("<BBBIB")
"""Hour, minute, second, microsecond, fold."""
MOMENT = struct.Struct("<HBBBBBIB")
"""Year, month, day, and a time."""
SPAN = struct.Struct("<iii")
"""Days, seconds, microseconds."""

MAX_DEPTH = 128
"""Containers within each other. A host's own recursion over what it got ends at 1,000."""
MAX_INT_BYTES = 1 << 20
"""Bytes of one number: some 2.5 million digits. Python itself writes none of more than 4,300."""


class Tag:
    """The first byte of a value."""

    NONE, TRUE, FALSE, INT, BIG, FLOAT, TEXT, BYTES = range(8)
    LIST, TUPLE, DICT, SET, FROZENSET = range(8, 13)
    INTS, FLOATS, TEXTS = range(13, 16)  # many of one kind in a row, under one byte
    BYTEARRAY, COMPLEX, DECIMAL, UUID, PATH, ADDRESS, ZONE = range(16, 23)
    DATE, TIME, MOMENT, SPAN, ZONED_TIME, ZONED_MOMENT, OFFSET = range(23, 30)
    RANGE, SLICE, FRACTION, ORDERED, COUNTER, DEQUE = range(30, 36)
    OBJECT = 36
    """A number that the host gave to one of the types it declared, and what its codec made of the object."""
