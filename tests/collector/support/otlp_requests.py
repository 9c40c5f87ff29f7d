"""Trace and metrics requests of every shape that the decoders can meet, and ways to damage them."""

from __future__ import annotations

import math
import os
import random
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract import name_fault

__all__ = [
    "NOW",
    "TEXT",
    "contradicted",
    "damaged",
    "full_requests",
    "made_sound",
    "metric_requests",
    "trace_requests",
]

NOW = 1_790_000_000_000_000_000
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAME = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8).filter(
    lambda text: (
        name_fault("plugin", text) is None
    )  # Hypothesis also draws texts that stand in our code, such as _OTHER
)
NAMING = ["plugin.id", "plugin.version", "plugin.operation", "gen_ai.tool.name", "tenant.id"]
"""Keys whose values are names; what cannot be one is test_naming.py's."""
SCALAR = st.one_of(st.none(), TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=5))
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
ATTRIBUTES = st.lists(
    st.one_of(
        st.tuples(st.one_of(TEXT, st.just("plugin.outcome")), VALUE),
        st.tuples(
            st.sampled_from(NAMING), st.one_of(NAME, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats())
        ),
    ),
    max_size=5,
)
COUNT = st.sampled_from([0, 0, 1, 2, 7, 300, 2**63, 2**64 - 1])
COUNTED = st.sampled_from(["plugin.invocation.duration", "plugin.downstream.duration", "plugin.cpu.time", "other"])
UNITS = st.sampled_from(["", "s", "ms", "us", "ns", "min", "h", "µs", "seconds", "By", "1"])
TIME = st.one_of(st.just(0), st.integers(-(10**12), 10**12).map(lambda away: NOW + away), st.just(2**64 - 1))
DOUBLE = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf]))


def set_value(target: Any, value: Any) -> None:
    if isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            set_value(target.array_value.values.add(), item)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, item in value.items():
            set_value(target.kvlist_value.values.add(key=key).value, item)
    elif value is not None:
        kinds = {str: "string", bool: "bool", int: "int", float: "double", bytes: "bytes"}
        setattr(target, f"{kinds[type(value)]}_value", value)


def add_attributes(target: Any, pairs: list[tuple[str, Any]]) -> None:
    for key, value in pairs:
        set_value(target.add(key=key).value, value)


def _scopes(draw: Any, groups: Any, scoped: str) -> Any:
    """Resources and scopes; some have nothing in them."""
    for _ in range(draw(st.integers(0, 3))):
        group = groups.add(schema_url=draw(TEXT))
        if draw(st.booleans()):
            add_attributes(group.resource.attributes, draw(ATTRIBUTES))
        for _ in range(draw(st.integers(0, 2))):
            scope = getattr(group, scoped).add()
            if draw(st.booleans()):
                scope.scope.name, scope.scope.version = draw(st.just("") | NAME), draw(st.just("") | NAME)
            yield scope


@st.composite
def trace_requests(draw: Any) -> Any:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for scope in _scopes(draw, message.resource_spans, "scope_spans"):
        for _ in range(draw(st.integers(0, 3))):
            span = scope.spans.add(
                trace_id=os.urandom(16), span_id=os.urandom(8), name=draw(TEXT), kind=draw(st.integers(0, 5)),
                trace_state=draw(TEXT), parent_span_id=draw(st.sampled_from([b"", b"12345678", b"short"])),
                dropped_events_count=draw(st.integers(0, 9)), flags=draw(st.integers(0, 300)),
                start_time_unix_nano=draw(TIME), end_time_unix_nano=draw(st.one_of(st.just(NOW), TIME)),
            )  # fmt: skip
            if draw(st.booleans()):
                span.status.code, span.status.message = draw(st.integers(0, 2)), draw(TEXT)
            add_attributes(span.attributes, draw(ATTRIBUTES))
            for _ in range(draw(st.integers(0, 2))):
                event = span.events.add(name=draw(TEXT), time_unix_nano=draw(TIME))
                add_attributes(event.attributes, draw(ATTRIBUTES))
            if draw(st.booleans()):
                add_attributes(span.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8).attributes, draw(ATTRIBUTES))
    return message


@st.composite
def metric_requests(draw: Any, sound: bool = True) -> Any:
    """Points whose numbers can be, or (`sound` is False) any, also of the metrics that are counted."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    for scope in _scopes(draw, message.resource_metrics, "scope_metrics"):
        for _ in range(draw(st.integers(0, 3))):
            metric = scope.metrics.add(name=draw(TEXT), unit=draw(TEXT), description=draw(TEXT))
            if not sound:
                metric.name, metric.unit = draw(COUNTED), draw(UNITS)
            kind = draw(st.sampled_from(["", "gauge", "sum", "histogram", "exponential_histogram", "summary"]))
            if not kind:
                continue
            data = getattr(metric, kind)
            data.SetInParent()
            if kind not in {"gauge", "summary"}:
                data.aggregation_temporality = draw(st.integers(0, 2))
            if kind == "sum":
                data.is_monotonic = draw(st.booleans())
            for _ in range(draw(st.integers(0, 3))):
                point = data.data_points.add()
                _point(draw, kind, point)
                if sound:
                    made_sound(point)
                elif draw(st.booleans()):
                    made_sound(point)
                    contradicted(random.Random(draw(st.integers(0, 2**32))), point)
    return message


def _point(draw: Any, kind: str, point: Any) -> None:
    point.start_time_unix_nano, point.time_unix_nano = draw(TIME), draw(TIME)
    point.flags = draw(st.integers(0, 1))
    add_attributes(point.attributes, draw(ATTRIBUTES))
    if kind in {"gauge", "sum"}:
        _number(draw, point)
    else:
        point.count, point.sum = draw(COUNT), draw(DOUBLE)
    if kind == "summary":
        return
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        exemplar = point.exemplars.add(span_id=b"\x03" * 8, time_unix_nano=NOW)
        exemplar.trace_id = draw(st.sampled_from([b"", b"short", os.urandom(16)]))
        _number(draw, exemplar)
        add_attributes(exemplar.filtered_attributes, draw(ATTRIBUTES))
    if kind in {"gauge", "sum"}:
        return
    if draw(st.booleans()):
        point.ClearField("sum")
    if draw(st.booleans()):
        point.min, point.max = draw(DOUBLE), draw(DOUBLE)
    if kind == "histogram":
        bounds = draw(st.lists(DOUBLE, max_size=4))
        point.explicit_bounds.extend(bounds)
        if draw(st.booleans()):
            point.bucket_counts.extend(draw(st.lists(COUNT, min_size=len(bounds) + 1, max_size=len(bounds) + 1)))
        return
    point.scale = draw(st.one_of(st.integers(-10, 20), st.sampled_from([-(2**31), -200, 66, 67, 200, 2**31 - 1])))
    point.zero_count, point.zero_threshold = draw(COUNT), draw(DOUBLE)
    for buckets in (point.positive, point.negative):
        if draw(st.booleans()):
            buckets.offset = draw(st.one_of(st.integers(-40, 40), st.sampled_from([-(2**31), 2**31 - 1])))
            buckets.bucket_counts.extend(draw(st.lists(COUNT, max_size=12)))


def made_sound(point: Any) -> None:
    """Put right what contradicts itself in any point."""
    names = {field.name for field in point.DESCRIPTOR.fields}
    if "explicit_bounds" in names:
        bounds = sorted({bound for bound in point.explicit_bounds if not math.isnan(bound)})
        filled = bool(point.bucket_counts)
        counts = [counted % 2**40 for counted in point.bucket_counts]
        del point.explicit_bounds[:], point.bucket_counts[:]
        if filled:
            point.explicit_bounds.extend(bounds)
            point.bucket_counts.extend((counts + [0] * len(bounds))[: len(bounds) + 1])
            point.count = sum(point.bucket_counts)
    elif "scale" in names:
        point.scale = max(-10, point.scale)
        point.zero_count %= 2**40
        for side in (point.positive, point.negative):
            side.offset = max(-40, min(40, side.offset)) if point.scale >= 4 else max(-2, min(0, side.offset))
            counts = [counted % 2**40 for counted in side.bucket_counts][: 12 if point.scale >= 4 else 1]
            del side.bucket_counts[:]
            side.bucket_counts.extend(counts)
        point.count = point.zero_count + sum(point.positive.bucket_counts) + sum(point.negative.bucket_counts)
    elif "count" not in names:
        return
    if not point.count:
        point.ClearField("sum")
    if "min" in names and point.HasField("min") and point.HasField("max") and point.min > point.max:
        point.min, point.max = point.max, point.min


def contradicted(chance: random.Random, point: Any) -> None:
    """Change one or two of a point's numbers, so that they may not fit the others."""
    names = [field for field in point.DESCRIPTOR.fields if field.name in _NUMBERS]
    for field in chance.choices(names, k=chance.randint(1, 2)):
        if field.message_type is not None and field.name == "quantile_values":
            pair = point.quantile_values.add()
            pair.quantile, pair.value = chance.choice(_DOUBLES), chance.choice(_DOUBLES)
        elif field.message_type is not None:
            side = getattr(point, field.name)
            side.offset = chance.choice(_OFFSETS)
            _list_changed(chance, side.bucket_counts, _COUNTS)
        elif field.name in {"bucket_counts", "explicit_bounds"}:
            _list_changed(chance, getattr(point, field.name), _COUNTS if field.name == "bucket_counts" else _DOUBLES)
        elif field.name == "scale":
            point.scale = chance.choice(_SCALES)
        elif field.name == "as_int":
            point.as_int = chance.choice((0, -1, 1, 2**63 - 1, -(2**63)))
        else:
            setattr(point, field.name, chance.choice(_COUNTS if field.name in {"count", "zero_count"} else _DOUBLES))


_NUMBERS = {
    "count", "sum", "min", "max", "scale", "zero_count", "positive", "negative", "bucket_counts", "explicit_bounds", "as_double",
    "as_int", "quantile_values",
}  # fmt: skip
_COUNTS = (0, 1, 2, 3, 10, 2**31, 2**32 - 1, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
_DOUBLES = (0.0, -0.0, 0.5, 1.0, 2.0, -1.0, 5e-324, 1e15, 1.1e15, 1e18, 1e308, -1e308, math.nan, math.inf, -math.inf)
_OFFSETS = (-(2**31), -17186, -17185, -480, -3, 0, 271, 16384, 16385, 2**31 - 1)
_SCALES = (-(2**31), -128, -11, -10, -1, 0, 3, 4, 5, 20, 66, 128, 2**31 - 1)


def _list_changed(chance: random.Random, values: Any, drawn: tuple[Any, ...]) -> None:
    found = list(values)
    match chance.randrange(5):
        case 0 if found:
            found[chance.randrange(len(found))] = chance.choice(drawn)
        case 1:
            found.insert(chance.randrange(len(found) + 1), chance.choice(drawn))
        case 2 if found:
            del found[chance.randrange(len(found))]
        case 3:
            found.reverse()
        case _:
            found = [chance.choice(drawn)] * chance.choice((1, len(found), 3))
    del values[:]
    values.extend(found)


def full_requests(attributes: int) -> tuple[list[bytes], list[bytes]]:
    """Of traces and of metrics: small ones with so many attributes in one list, a list for each place that has one."""
    traces, metrics = [], []
    for place in range(4):
        span = trace_service_pb2.ExportTraceServiceRequest()
        of = span.resource_spans.add().scope_spans.add().spans.add(
            trace_id=b"\x01" * 16, span_id=b"\x02" * 8, start_time_unix_nano=NOW
        )  # fmt: skip
        lists = (of, of.events.add(), of.links.add())
        _fill(lists[place % 3].attributes, attributes, nested=place == 3)
        traces.append(span.SerializeToString())
        request = metrics_service_pb2.ExportMetricsServiceRequest()
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add()
        kind = ("gauge", "histogram", "exponential_histogram", "summary")[place]
        _fill(getattr(metric, kind).data_points.add(time_unix_nano=NOW).attributes, attributes, nested=place == 3)
        metrics.append(request.SerializeToString())
    return traces, metrics


def _fill(target: Any, count: int, *, nested: bool) -> None:
    if nested:
        add_attributes(target, [("n", {str(number): number for number in range(count)})])
    else:
        add_attributes(target, [(str(number), number) for number in range(count)])


def _number(draw: Any, target: Any) -> None:
    kind = draw(st.sampled_from(["as_int", "as_double", ""]))
    if kind:
        setattr(target, kind, draw(st.integers(-(2**63), 2**63 - 1) if kind == "as_int" else DOUBLE))


def damaged(chance: random.Random, body: bytes, other: bytes = b"") -> bytes:
    """A request that is no longer what it was: its bytes as such, or a field somewhere in it, with all lengths still true."""
    return _bytes_damaged(chance, body, other) if chance.random() < 0.4 else _field_damaged(chance, body, other)


def _field_damaged(chance: random.Random, message: bytes, other: bytes) -> bytes:
    fields = _fields(message)
    if not fields:
        return _bytes_damaged(chance, message, other)
    at = chance.randrange(len(fields))
    tag, payload = fields[at]
    kind = chance.randrange(12)
    if tag & 7 == 2 and kind < 8:
        fields[at] = tag, _field_damaged(chance, payload, other)
    elif kind == 8:
        fields.insert(chance.randrange(len(fields) + 1), fields[at])
    elif kind == 9:
        del fields[at]
    elif kind == 10:
        fields[at] = tag ^ chance.choice([1, 2, 3, 8, 16, 32, 64]), payload
    else:
        content = _bytes_damaged(chance, payload, other)
        fields[at] = tag, content if tag & 7 == 2 else (content + bytes(8))[: len(payload)]
    return b"".join(
        _varint(tag) + (_varint(len(payload)) if tag & 7 == 2 else b"") + payload for tag, payload in fields
    )


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Tag and payload of each field; none when it is not a message."""
    found, at = [], 0
    try:
        while at < len(message):
            tag, at = _number_at(message, at)
            if tag & 7 == 2:
                size, at = _number_at(message, at)
                end = at + size
            else:
                end = {0: _number_at(message, at)[1], 1: at + 8, 5: at + 4}[tag & 7]
            if end > len(message) or not tag >> 3:
                return []
            found.append((tag, message[at:end]))
            at = end
    except (IndexError, KeyError):
        return []
    return found


def _number_at(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _bytes_damaged(chance: random.Random, body: bytes, other: bytes) -> bytes:
    """With a few bytes flipped, left out, put in, or with the end of another request."""
    found = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        if not found:
            break
        at, kind = chance.randrange(len(found)), chance.randrange(6)
        if kind == 0:
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del found[at : at + chance.randint(1, 4)]
        elif kind == 2:
            found[at:at] = bytes([chance.choice([0, 1, 0x0A, 0x12, 0x7F, 0x80, 0xFF])]) * chance.randint(1, 11)
        elif kind == 3:
            found[at] = chance.randrange(256)
        elif kind == 4:
            del found[at:]
        else:
            found[at:] = other[chance.randrange(len(other) + 1) :]
    return bytes(found)
