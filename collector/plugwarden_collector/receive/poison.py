"""Saves a request from the few records in it that cannot be read: bad text, a wrong type, a length that lies.

A request is resource -> scope -> leaf (opentelemetry-proto: field 1 of a request, field 2 of both levels below). Its frame is
taken apart here; whether a leaf can be read is found by halving, so that a single bad one costs a dozen tries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

__all__ = ["Salvaged", "salvage"]

MAX_TRIES = 512
"""A request of nothing but poison must not cost more than this many attempts; what is left then is refused unread."""
_GROUPS, _RESOURCE, _SCOPES, _SCOPE, _LEAVES = 1, 1, 2, 1, 2
_LENGTH_DELIMITED = 2
_FIXED = {1: 8, 5: 4}

Reads = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What is left of a request."""

    body: bytes
    """A request of the leaves that can be read; empty when there are none."""
    refused: int
    """Leaves that cannot."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    resource: bytes
    """The group's other fields as they came, the resource among them."""
    scope: bytes
    data: bytes


def salvage(body: bytes, reads: Reads) -> Salvaged | None:
    """The readable part of a request; None where not even its frame can be told. `reads` says whether a request can be."""
    try:
        leaves = list(_leaves(body))
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


def _leaves(body: bytes) -> Iterator[_Leaf]:
    for number, group, _ in _fields(body):
        if number != _GROUPS:
            continue
        frame = _Leaf(b"", b"", b"")
        scopes = []
        for inner, data, whole in _fields(group):
            if inner == _SCOPES:
                scopes.append(data)
            else:
                frame = replace(frame, resource=frame.resource + whole)
        for scope in scopes:
            leaves, header = [], b""
            for inner, data, whole in _fields(scope):
                if inner == _LEAVES:
                    leaves.append(data)
                else:
                    header += whole
            for leaf in leaves:
                yield replace(frame, scope=header, data=leaf)


def _request(leaves: list[_Leaf]) -> bytes:
    """The leaves as a request again, each run of one scope together."""
    parts: list[bytes] = []
    start = 0
    for end in range(1, len(leaves) + 1):
        first = leaves[start]
        if end < len(leaves) and (leaves[end].resource, leaves[end].scope) == (first.resource, first.scope):
            continue
        scope = first.scope + b"".join(_delimited(_LEAVES, leaf.data) for leaf in leaves[start:end])
        parts.append(_delimited(_GROUPS, first.resource + _delimited(_SCOPES, scope)))
        start = end
    return b"".join(parts)


def _fields(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Field number, payload (of length-delimited fields) and the field as it stands; raises `ValueError`."""
    position = 0
    while position < len(data):
        begin = position
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
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
