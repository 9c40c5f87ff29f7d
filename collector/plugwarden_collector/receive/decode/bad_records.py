"""Saves a request from the few records in it that cannot be read: bad text, a wrong type, a length that lies.

A request is resource -> scope -> leaf (opentelemetry-proto: field 1 of a request, field 2 of both levels below). Its frame is
taken apart here; whether a leaf can be read is found by halving, so that a single bad one costs a dozen tries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, groupby

__all__ = ["Salvaged", "salvage"]

MAX_TRIES = 512
"""A request of nothing but poison must not cost more than this many attempts; what is left then is refused unread."""
MAX_FIELDS = 1 << 18
"""Fields of groups and scopes that are looked at one by one, half a second of Python: 20 MiB of the smallest are ten million, and
would keep a decode thread longer than a sender waits. Four times the records of a large request; what has more is refused whole."""
_GROUPS, _SCOPES, _LEAVES = 1, 2, 2
_LENGTH_DELIMITED = 2
_FIXED = {1: 8, 5: 4}

Reads = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What is left of a request."""

    body: bytes
    """A request of the leaves that can be read; empty when there are none."""
    refused: int
    """Leaves that cannot be read."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What stands around leaves: of a group its resource, of a scope its header."""

    fields: bytes
    """The fields other than those that nest, as they came."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    group: _Frame
    scope: _Frame
    data: bytes


def salvage(body: bytes, reads: Reads) -> Salvaged | None:
    """The readable part of a request; None where its frame cannot be told or is too much. `reads` says whether a request can be."""
    try:
        leaves = list(_leaves(body, count()))
    except ValueError:
        return None
    if not leaves:
        return None
    tries = MAX_TRIES

    def readable(part: list[_Leaf]) -> list[_Leaf]:
        nonlocal tries
        if tries <= 0:
            return []
        tries -= 1
        if reads(_request(part)):
            return part
        if len(part) == 1:
            return []
        middle = len(part) // 2
        return readable(part[:middle]) + readable(part[middle:])

    good = readable(leaves)
    return Salvaged(_request(good) if good else b"", len(leaves) - len(good))


def _leaves(body: bytes, seen: Iterator[int]) -> Iterator[_Leaf]:
    """Raises `ValueError`; `seen` counts the fields looked at."""
    for number, group, _ in _fields(body, seen):
        if number == _GROUPS:
            outer, scopes = _taken_apart(group, _SCOPES, seen)
            for scope in scopes:
                inner, leaves = _taken_apart(scope, _LEAVES, seen)
                for leaf in leaves:
                    yield _Leaf(outer, inner, leaf)


def _taken_apart(message: bytes, nested: int, seen: Iterator[int]) -> tuple[_Frame, list[bytes]]:
    others, inside = [], []
    for number, data, whole in _fields(message, seen):
        if number == nested:
            inside.append(data)
        else:
            others.append(whole)
    return _Frame(b"".join(others)), inside


def _request(leaves: list[_Leaf]) -> bytes:
    """The leaves as a request again, in the frames they came in, each frame once: no larger than what they came from."""
    groups = (
        group.fields
        + b"".join(
            _delimited(_SCOPES, scope.fields + b"".join(_delimited(_LEAVES, leaf.data) for leaf in of_scope))
            for scope, of_scope in _runs(of_group, lambda leaf: leaf.scope)
        )
        for group, of_group in _runs(leaves, lambda leaf: leaf.group)
    )
    return b"".join(_delimited(_GROUPS, group) for group in groups)


def _runs(leaves: Iterable[_Leaf], frame_of: Callable[[_Leaf], _Frame]) -> Iterator[tuple[_Frame, list[_Leaf]]]:
    """Leaves of one frame, which stand next to each other; frames are told apart by being the same object."""
    for _, run in groupby(leaves, lambda leaf: id(frame_of(leaf))):
        of_frame = list(run)
        yield frame_of(of_frame[0]), of_frame


def _fields(data: bytes, seen: Iterator[int]) -> Iterator[tuple[int, bytes, bytes]]:
    """Field number, payload (of length-delimited fields) and the field as it stands; raises `ValueError`."""
    position = 0
    while position < len(data):
        begin = position
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("a field without a number")
        if next(seen) >= MAX_FIELDS:
            raise ValueError(f"more than {MAX_FIELDS} fields")
        payload = b""
        if kind == _LENGTH_DELIMITED:
            size, position = _varint(data, position)
            payload = data[position : position + size]
            position += size
        elif kind in _FIXED:
            position += _FIXED[kind]
        elif kind == 0:
            _, position = _varint(data, position)
        else:
            raise ValueError(f"wire type {kind}")
        if position > len(data):
            raise ValueError("a field ends beyond its message")
        yield number, payload, data[begin:position]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("a number does not end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _delimited(number: int, data: bytes) -> bytes:
    size, length = len(data), bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes([number << 3 | _LENGTH_DELIMITED]) + bytes(length) + data
