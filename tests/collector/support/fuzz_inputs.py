"""Hostile requests, made from good ones: a generator takes a random source and answers one request.

The source is `random.Random`, so that a benchmark can draw a million from a seed and Hypothesis can draw, and shrink, its own.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

from .otlp_client import MESSAGES, PROTOBUF, SIGNALS, any_value, attribute, otlp_json
from .otlp_requests import contradicted

__all__ = ["GENERATORS", "JSON", "TOKENS", "Generator", "Input"]

JSON = "application/json"
TOKENS = ("a-token-that-sends", "a-token-that-reads")


@dataclass(frozen=True)
class Input:
    """One HTTP request, as an ASGI server would hand it on."""

    path: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    method: str = "POST"

    @property
    def kind(self) -> str:
        """The media type it claims."""
        found = [value for name, value in self.headers if name == b"content-type"]
        return b", ".join(found).decode("latin-1").partition(";")[0].strip().lower()


Generator = Callable[[Random], Input]


def _request(signal: str, body: bytes, kind: str = PROTOBUF, encoding: str = "") -> Input:
    headers = [(b"host", b"localhost"), (b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
    if encoding:
        headers.append((b"content-encoding", encoding.encode()))
    return Input(f"/v1/{signal}", body, tuple(headers))


# Bytes ---------------------------------------------------------------------------------------------------------------

_SNIPPETS = (
    b"\xff" * 9 + b"\x01", b"\xff" * 10, b"\x80" * 20, b"\xc0\x80", b"\xed\xa0\x80", b"\xff\xfe", b"\x00" * 8, b"\x0a\xff\xff\xff\x7f",
    b"\x0b", b"\x0c", b"\x1f\x8b", b"\x78\x9c", b"{}", b"\x12\x00", (2**63).to_bytes(8, "little"), b"\xff" * 8,
    b"\x00\x00\x00\x00\x00\x00\xf8\x7f", b"\x00\x00\x00\x00\x00\x00\xf0\xff", b"NaN", b'"', b"\\u0000", b"9" * 400, b"[" * 200,
)  # fmt: skip


def mutated(random: Random, data: bytes) -> bytes:
    """A few changes: bits, bytes, slices cut out, doubled, moved, snippets that parsers stumble over, ends cut off."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        size = len(found)
        at = random.randrange(size + 1)
        match random.choice((0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 6, 7)):
            case 0 if size:
                found[at % size] ^= 1 << random.randrange(8)
            case 1 if size:
                found[at % size] = random.choice((0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x31, 0x39))
            case 2:
                del found[at:]
            case 3:
                del found[at : at + random.randint(1, 30)]
            case 4:
                found[at:at] = found[at : at + random.randint(1, 60)]
            case 5:
                found[at:at] = random.choice(_SNIPPETS)
            case 6:
                found[at : at + random.randint(1, 8)] = random.choice(_SNIPPETS)
            case 7:
                part = found[at : at + random.randint(1, 40)]
                del found[at : at + len(part)]
                to = random.randrange(len(found) + 1)
                found[to:to] = part
    return bytes(found)


def _rich(signal: str) -> Any:
    """A message with something in most places."""
    message = MESSAGES[signal]("fuzzed")
    if signal == "traces":
        span = message.resource_spans[0].scope_spans[0].spans[0]
        span.trace_id, span.span_id, span.parent_span_id = bytes(range(16)), bytes(range(8)), bytes(range(1, 9))
        attribute(span.attributes, "plugin.id", "csv")
        attribute(span.attributes, "nested", {"a": [1, "two", b"\x00"], "b": {"c": 1.5}})
        attribute(span.events.add(name="exception", time_unix_nano=1).attributes, "exception.type", "ValueError")
        span.links.add(trace_id=bytes(16), span_id=bytes(8))
        message.resource_spans[0].scope_spans[0].spans.add().CopyFrom(span)
    elif signal == "logs":
        record = message.resource_logs[0].scope_logs[0].log_records[0]
        record.trace_id, record.span_id = bytes(range(16)), bytes(range(8))
        record.body.CopyFrom(any_value({"a": [1, {"b": "c"}]}))
        attribute(record.attributes, "exception.type", "ValueError")
    else:
        metrics = message.resource_metrics[0].scope_metrics[0].metrics
        total = metrics.add(name="total").sum
        total.aggregation_temporality = 1
        total.data_points.add(as_double=1.5).exemplars.add(as_int=3, trace_id=bytes(range(16)), span_id=bytes(range(8)))
        explicit = metrics.add(name="explicit").histogram.data_points.add(count=3, sum=1.5)
        explicit.bucket_counts.extend([1, 2])
        explicit.explicit_bounds.extend([0.5])
        exponential = metrics.add(name="plugin.invocation.duration").exponential_histogram
        exponential.aggregation_temporality = 1
        point = exponential.data_points.add(count=3, sum=2, scale=4, time_unix_nano=10**18)
        point.positive.bucket_counts.extend([1, 2])
        attribute(point.attributes, "plugin.id", "csv")
        metrics.add(name="summary").summary.data_points.add(count=1, sum=1).quantile_values.add(quantile=0.5, value=1)
    return message


_BASES: Mapping[str, bytes] = {signal: _rich(signal).SerializeToString() for signal in SIGNALS}
_DOCUMENTS: Mapping[str, bytes] = {signal: otlp_json(_rich(signal)) for signal in SIGNALS}


def wire(random: Random) -> Input:
    """Protobuf with changes, spliced with another signal's at times, or sent to another signal's path."""
    signal, other = random.choice(tuple(SIGNALS)), random.choice(tuple(SIGNALS))
    body = _BASES[signal if random.random() < 0.9 else other]
    if random.random() < 0.1:
        body = body[: random.randrange(len(body))] + _BASES[other][random.randrange(len(_BASES[other])) :]
    return _request(signal, mutated(random, body))


def packed(random: Random) -> Input:
    """Compressed, and changed before or after that."""
    signal, encoding = random.choice(tuple(SIGNALS)), random.choice(("gzip", "deflate"))
    compress = {"gzip": gzip.compress, "deflate": zlib.compress}[encoding]
    body = _BASES[signal] if random.random() < 0.5 else bytes(random.randrange(100_000))
    body = compress(body) * random.choice((1, 1, 1, 2, 50))
    return _request(signal, mutated(random, body), encoding=encoding)


# Messages that are well-formed and mean nothing ----------------------------------------------------------------------

_INTEGERS = (0, 1, 2, 5, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**53 + 1, 10**18, 2**63 - 1, 2**63, 2**64 - 1)
_DOUBLES = (0.0, -0.0, 1.0, -1.5, 5e-324, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))
_STRINGS = (
    "", "a", "\0", "plugin.id", "plugin.invocation.duration", "service.name", "success", "x" * 5000, "\u202e\u0000\x1b[2J",
    "'; drop table spans; --", "<script>", "\U0001f600", "\u0301" * 50,
)  # fmt: skip
_BITS = {
    FieldDescriptor.TYPE_INT32: (32, True), FieldDescriptor.TYPE_SINT32: (32, True), FieldDescriptor.TYPE_UINT32: (32, False),
    FieldDescriptor.TYPE_FIXED32: (32, False), FieldDescriptor.TYPE_INT64: (64, True), FieldDescriptor.TYPE_SFIXED64: (64, True),
    FieldDescriptor.TYPE_UINT64: (64, False), FieldDescriptor.TYPE_FIXED64: (64, False), FieldDescriptor.TYPE_ENUM: (32, True),
}  # fmt: skip


def _filled(random: Random, descriptor: Descriptor, depth: int = 0) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in descriptor.fields:
        group = field.containing_oneof
        if random.random() < (0.75 if group is not None or depth > 7 else 0.2):
            continue
        if group is not None:
            for other in group.fields:
                values.pop(other.name, None)
        count = random.choice((0, 1, 1, 2, 3)) if field.is_repeated else 1
        found = [_value(random, field, depth) for _ in range(count)]
        found = [value for value in found if value is not None]
        if field.is_repeated:
            values[field.name] = found
        elif found:
            values[field.name] = found[0]
    return values


def _value(random: Random, field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is not None:
        return _filled(random, field.message_type, depth + 1) if depth < 12 else None
    if field.type in _BITS:
        bits, signed = _BITS[field.type]
        value = random.choice(_INTEGERS) % (1 << bits)
        return value - (1 << bits) if signed and value >= 1 << bits - 1 else value
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return random.choice(_DOUBLES)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return random.random() < 0.5
    if field.type == FieldDescriptor.TYPE_BYTES:
        width = 16 if field.name == "trace_id" else 8
        return bytes(random.choice((width, width, width, 0, 1, 7, 17)))
    return random.choice(_STRINGS)


def _message(random: Random, signal: str) -> Any:
    kind = SIGNALS[signal][1]
    return kind(**_filled(random, kind.DESCRIPTOR))


def message(random: Random) -> Input:
    """Every field with any value it can hold: extreme times, NaN, counts and bounds that do not fit each other."""
    signal = random.choice(tuple(SIGNALS))
    return _request(signal, _message(random, signal).SerializeToString())


def deep(random: Random) -> Input:
    """Attribute values within each other."""
    signal = random.choice(tuple(SIGNALS))
    value = b"\x0a\x01x"  # string_value "x"
    for _ in range(random.choice((1, 10, 15, 16, 17, 30, 33, 34, 48, 49, 50, 51, 99, 100, 101, 1000, 5000))):
        listed = _tagged(1, value)
        if random.random() < 0.5:
            value = _tagged(5, listed)  # array_value
        else:
            value = _tagged(6, _tagged(1, b"\x0a\x01k" + _tagged(2, value)))  # kvlist_value
    pair = b"\x0a\x01k" + _tagged(2, value)
    number = {"traces": 9, "logs": 6, "metrics": 7}[signal]
    leaf = _tagged(number, pair)
    if signal == "traces":
        leaf = _tagged(1, bytes(range(16))) + _tagged(2, bytes(range(8))) + leaf
    elif signal == "logs" and random.random() < 0.5:
        leaf = _tagged(5, value)  # body
    else:
        leaf = _tagged(5, _tagged(1, leaf)) if signal == "metrics" else leaf
    if random.random() < 0.2:
        return _request(signal, _tagged(1, _tagged(1, _tagged(1, pair))))  # of the resource
    return _request(signal, _tagged(1, _tagged(2, _tagged(2, leaf))))


def _tagged(number: int, data: bytes) -> bytes:
    size, length = bytearray(), len(data)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes([number << 3 | 2]) + bytes(size) + data


# Points that contradict themselves ------------------------------------------------------------------------------------

_COUNTED = ("plugin.invocation.duration", "plugin.downstream.duration", "plugin.cpu.time", "other")
_UNITS = ("s", "", "ms", "us", "ns", "min", "h", "seconds", "ms{x}", "By", "1")


def numbers(random: Random) -> Input:
    """Points of every kind whose numbers were right and were changed, of metrics that are counted and of others; also in JSON."""
    made = metrics_service_pb2.ExportMetricsServiceRequest()
    metrics = made.resource_metrics.add().scope_metrics.add().metrics
    for _ in range(random.randint(1, 4)):
        metric = metrics.add(name=random.choice(_COUNTED), unit=random.choice(_UNITS))
        kind = random.choice(
            ("histogram", "histogram", "exponential_histogram", "exponential_histogram", "sum", "gauge", "summary")
        )
        data = getattr(metric, kind)
        if kind not in {"gauge", "summary"}:
            data.aggregation_temporality = random.choice((1, 1, 2, 2, 0))
        for _ in range(random.randint(1, 3)):
            at = time.time_ns() - random.randrange(10**9)
            point = data.data_points.add(
                time_unix_nano=at, start_time_unix_nano=random.choice((0, at - 10**9, at, at - 10**12))
            )
            counts = [random.choice((0, 1, 3, 1000)) for _ in range(3)]
            if kind == "histogram":
                point.explicit_bounds.extend((0.01, 0.1))
                point.bucket_counts.extend(counts)
            elif kind == "exponential_histogram":
                point.scale, point.positive.offset = random.choice((0, 3, 4, 20)), random.choice((-90, -3, 0, 3))
                point.positive.bucket_counts.extend(counts)
            elif kind != "summary":
                point.as_double = 1.5
            if kind in {"histogram", "exponential_histogram", "summary"}:
                point.count = sum(counts)
                point.sum = point.count * 0.05
            if random.random() < 0.8:
                contradicted(random, point)
            attribute(point.attributes, "plugin.id", random.choice(("csv", "geo")))
            attribute(point.attributes, "plugin.downstream", "db")
            attribute(point.attributes, "plugin.outcome", random.choice(("success", "error", "timeout")))
    if random.random() < 0.2:
        return _request("metrics", otlp_json(made), JSON)
    body = made.SerializeToString()
    return _request("metrics", mutated(random, body) if random.random() < 0.2 else body)


# JSON ----------------------------------------------------------------------------------------------------------------

_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**64, 10**30, "", "NaN", "Infinity", "1e3", "0x10", "٣", "\ud800", [], {}, [[]], {"key": {}}, "x" * 3000,
)  # fmt: skip


def _twisted(random: Random, node: Any) -> Any:
    """A document with an odd value, a key misspelt or something left out, here and there."""
    if random.random() < 0.02:
        return random.choice(_ODD)
    if isinstance(node, dict):
        found = {}
        for key, value in node.items():
            if random.random() < 0.02:
                key = random.choice((key.lower(), "from_the_future", "stringValue", "intValue", "resource_spans", ""))
            found[key] = _twisted(random, value)
        return found
    return [_twisted(random, item) for item in node] if isinstance(node, list) else node


def document(random: Random) -> Input:
    """JSON: of any message, or of a good one with changes to its tree or its text."""
    signal = random.choice(tuple(SIGNALS))
    match random.randrange(3):
        case 0:
            body = otlp_json(_message(random, signal))
        case 1:
            body = json.dumps(_twisted(random, json.loads(_DOCUMENTS[signal]))).encode()
        case _:
            body = mutated(random, _DOCUMENTS[signal])
    return _request(signal, body, JSON)


# Headers -------------------------------------------------------------------------------------------------------------

_HEADERS: Mapping[bytes, tuple[bytes, ...]] = {
    b"content-type": (b"", PROTOBUF.encode(), b"application/json", b"APPLICATION/JSON;charset=utf-16", b"text/plain", b"\xff\xfe", b";"),
    b"content-encoding": (b"", b"gzip", b"GZIP", b"deflate", b"identity", b"br", b"gzip, gzip", b"\x00", b"x-gzip"),
    b"content-length": (b"0", b"-1", b"1", b"99999999999999999999", b"abc", b"\xb2", b"20971520", b"20971521", b""),
    b"authorization": (b"", b"Bearer", b"Bearer x", b"Basic \xff", b"bearer " + b"x" * 5000,
                       *(b"Bearer " + token.encode() for token in TOKENS)),
    b"host": (b"localhost", b"127.0.0.1:1", b"[::1]", b"[", b"]:", b"evil.example", b"", b"\xff", b":::::", b"localhost\x00"),
    b"transfer-encoding": (b"chunked", b"gzip"),
    b"expect": (b"100-continue",),
    b"x-unknown": (b"\x80",),
}  # fmt: skip
_METHODS = ("POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "PUT", "TRACE", "X" * 100)
_PATHS = (
    "/v1/traces",
    "/v1/metrics",
    "/v1/logs",
    "/v1/traces",
    "/",
    "",
    "/v1/traces/",
    "/v1/\ufffd\x00",
    "/" + "x" * 3000,
)


def headers(random: Random) -> Input:
    """Any headers with any body."""
    signal = random.choice(tuple(SIGNALS))
    kind = random.choice((PROTOBUF, JSON))
    body = random.choice((b"", _BASES[signal], _DOCUMENTS[signal], gzip.compress(_BASES[signal]), b"\xff{"))
    chosen = dict(_request(signal, body, kind).headers)
    listed = list(chosen.items())
    for name, values in _HEADERS.items():
        if random.random() < 0.2:
            listed = [pair for pair in listed if pair[0] != name or random.random() < 0.1]
            listed.append((name, random.choice(values)))
    return Input(random.choice(_PATHS), body, tuple(listed), random.choice(_METHODS))


GENERATORS: Mapping[str, tuple[Generator, int]] = {
    "wire": (wire, 40),
    "message": (message, 10),
    "deep": (deep, 2),
    "packed": (packed, 13),
    "numbers": (numbers, 20),
    "json": (document, 15),
    "headers": (headers, 20),
}
"""Name -> generator and its share: the slow ones are worth fewer."""
