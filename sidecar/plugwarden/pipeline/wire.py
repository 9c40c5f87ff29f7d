"""The few pieces of protobuf's wire format that spans need (https://protobuf.dev/programming-guides/encoding/)."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping, Sequence

from opentelemetry.util.types import AttributeValue

__all__ = ["attribute", "delimited", "key_value", "resource_bytes", "scope_bytes", "text_value", "varint", "zigzag"]

_double = struct.Struct("<d").pack
_MASK_64 = (1 << 64) - 1


def varint(number: int) -> bytes:
    """A base-128 number; negative ones as their 64-bit two's complement."""
    number &= _MASK_64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number: int) -> int:
    """A signed number as sint32 and sint64 have it: small ones short, whatever their sign."""
    return number * 2 if number >= 0 else -number * 2 - 1


def delimited(tag: bytes, data: bytes) -> bytes:
    """A field of bytes, text or a message, with its tag."""
    return tag + varint(len(data)) + data


def key_value(key: str, value: AttributeValue) -> bytes:
    """An OTLP KeyValue (opentelemetry/proto/common/v1/common.proto)."""
    return delimited(b"\x0a", _text(key)) + delimited(b"\x12", _any_value(value))


@functools.lru_cache(maxsize=4096)
def attribute(tag: bytes, key: str, value: str) -> bytes:
    """A text attribute as a field; most of them repeat."""
    return delimited(tag, key_value(key, value))


def text_value(text: str) -> bytes:
    """An OTLP AnyValue that is a text."""
    return delimited(b"\x0a", _text(text))


def resource_bytes(values: Mapping[str, AttributeValue]) -> bytes:
    """The `resource` field, number 1 of ResourceSpans, ResourceMetrics and ResourceLogs alike."""
    return delimited(b"\x0a", b"".join(delimited(b"\x0a", key_value(key, value)) for key, value in values.items()))


@functools.lru_cache(maxsize=1024)
def scope_bytes(scope: tuple[str, str | None]) -> bytes:
    """The `scope` field, number 1 of ScopeSpans, ScopeMetrics and ScopeLogs alike: a name and, if known, a version."""
    name, version = scope
    body = delimited(b"\x0a", _text(name)) + (delimited(b"\x12", _text(version)) if version else b"")
    return delimited(b"\x0a", body)


def _any_value(value: AttributeValue) -> bytes:
    if isinstance(value, str):
        return text_value(value)
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        # What 64 bits cannot hold is told as text rather than wrapped around.
        return (
            b"\x18" + varint(value) if -(1 << 63) <= value < 1 << 63 else delimited(b"\x0a", str(value)[:200].encode())
        )
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, bytes):
        return delimited(b"\x3a", value)
    if isinstance(value, Sequence):
        items = b"".join(delimited(b"\x0a", _any_value(item)) for item in value)
        return delimited(b"\x2a", items)
    return delimited(b"\x0a", _text(str(value)[:1000]))


def _text(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a lone surrogate cannot be sent
