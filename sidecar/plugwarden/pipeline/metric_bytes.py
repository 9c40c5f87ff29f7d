"""Points as an OTLP metrics request, straight to bytes (opentelemetry/proto/metrics/v1/metrics.proto)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from opentelemetry.util.types import AttributeValue

from plugwarden.contract.histogram import SCALE
from plugwarden.contract.metrics import MetricSpec

from .aggregate import Cell, Exemplar
from .points import SPECS, HistogramPoint, NumberPoint, Points
from .wire import attribute, delimited, key_value, scope_bytes, varint, zigzag

__all__ = ["encode_points"]

_DELTA = b"\x10\x01"
_DELTA_MONOTONIC = _DELTA + b"\x18\x01"
_double = struct.Struct("<Bd").pack
_fixed = struct.Struct("<BQ").pack
_fixed_signed = struct.Struct("<Bq").pack
_DATA_FIELDS = {"gauge": b"\x2a", "sum": b"\x3a", "exponential_histogram": b"\x52"}


def encode_points(points: Points, resource: bytes) -> bytes:
    """An ExportMetricsServiceRequest; empty when there is nothing to tell. `resource` is its encoded field."""
    if not points:
        return b""
    parts = [resource]
    for scope, by_name in points.items():
        body = [scope_bytes(scope)]
        body += [delimited(b"\x12", _metric(SPECS[name], found)) for name, found in by_name.items()]
        parts.append(delimited(b"\x12", b"".join(body)))
    return delimited(b"\x0a", b"".join(parts))


def _metric(spec: MetricSpec, points: Iterable[NumberPoint | HistogramPoint]) -> bytes:
    data = b"".join(
        delimited(b"\x0a", _histogram(point) if isinstance(point, HistogramPoint) else _number(point))
        for point in points
    )
    if spec.kind == "exponential_histogram":
        data += _DELTA
    elif spec.kind == "sum":
        data += _DELTA_MONOTONIC
    return _head(spec) + delimited(_DATA_FIELDS[spec.kind], data)


def _head(spec: MetricSpec) -> bytes:
    return (
        delimited(b"\x0a", spec.name.encode())
        + delimited(b"\x12", spec.description.encode())
        + delimited(b"\x1a", spec.unit.encode())
    )


def _number(point: NumberPoint) -> bytes:
    value = _fixed_signed(0x31, point.value) if isinstance(point.value, int) else _double(0x21, point.value)
    return _times(point, 0x11, 0x19) + value + _labels(b"\x3a", point.labels)


def _histogram(point: HistogramPoint) -> bytes:
    cell = point.cell
    parts = [
        _labels(b"\x0a", point.labels),
        _times(point, 0x11, 0x19),
        _fixed(0x21, cell.count),
        _double(0x29, cell.seconds_sum),
        b"\x30" + varint(zigzag(SCALE)),
        delimited(b"\x42", _buckets(cell)),
    ]
    if cell.exemplar is not None:
        parts.append(delimited(b"\x5a", _exemplar(cell.exemplar)))
    parts += [_double(0x61, cell.seconds_min), _double(0x69, cell.seconds_max)]
    return b"".join(parts)


def _times(point: NumberPoint | HistogramPoint, start_tag: int, end_tag: int) -> bytes:
    start = _fixed(start_tag, point.start_ns) if point.start_ns else b""
    return start + _fixed(end_tag, point.end_ns)


def _buckets(cell: Cell) -> bytes:
    low, high = min(cell.buckets), max(cell.buckets)
    counts = b"".join(varint(cell.buckets.get(index, 0)) for index in range(low, high + 1))
    offset = b"\x08" + varint(zigzag(low)) if low else b""
    return offset + delimited(b"\x12", counts)


def _exemplar(seen: Exemplar) -> bytes:
    return (
        _fixed(0x11, seen.at_ns)
        + _double(0x19, seen.seconds)
        + b"\x22\x08"
        + seen.span_id.to_bytes(8, "big")
        + b"\x2a\x10"
        + seen.trace_id.to_bytes(16, "big")
    )


def _labels(tag: bytes, labels: Mapping[str, AttributeValue]) -> bytes:
    return b"".join(
        attribute(tag, key, value) if type(value) is str else delimited(tag, key_value(key, value))
        for key, value in labels.items()
    )
