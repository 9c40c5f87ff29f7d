"""The fast way and the general way make the same of every request, or the fast way leaves it alone."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.errors import MalformedTelemetryError
from plugwarden_collector.receive.batch import Batch, Signal
from plugwarden_collector.receive.decode import parse
from plugwarden_collector.receive.identity import Identity
from plugwarden_collector.receive.native import available
from plugwarden_collector.receive.spans import read_plain_spans, read_spans

from .test_decode import NOW, spans

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: the fast way was not built")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEY = st.one_of(
    TEXT,
    st.sampled_from(
        ["plugin.id", "plugin.version", "plugin.operation", "plugin.outcome", "gen_ai.tool.name", "tenant.id"]
    ),
)
SCALAR = st.one_of(st.none(), TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=5))
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
ATTRIBUTES = st.lists(st.tuples(KEY, VALUE), max_size=5)


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


@st.composite
def requests(draw: Any) -> Any:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for _ in range(draw(st.integers(1, 3))):
        group = message.resource_spans.add()
        if draw(st.booleans()):
            add_attributes(group.resource.attributes, draw(ATTRIBUTES))
        for _ in range(draw(st.integers(0, 2))):
            scope = group.scope_spans.add()
            if draw(st.booleans()):
                scope.scope.name, scope.scope.version = draw(TEXT), draw(TEXT)
            for _ in range(draw(st.integers(0, 3))):
                span = scope.spans.add(
                    trace_id=os.urandom(16), span_id=os.urandom(8), name=draw(TEXT), kind=draw(st.integers(0, 5)),
                    trace_state=draw(TEXT), parent_span_id=draw(st.sampled_from([b"", b"12345678", b"short"])),
                    dropped_events_count=draw(st.integers(0, 9)), flags=draw(st.integers(0, 300)),
                    start_time_unix_nano=NOW + draw(st.integers(-(10**12), 10**12)), end_time_unix_nano=NOW,
                )  # fmt: skip
                if draw(st.booleans()):
                    span.status.code, span.status.message = draw(st.integers(0, 2)), draw(TEXT)
                add_attributes(span.attributes, draw(ATTRIBUTES))
                for _ in range(draw(st.integers(0, 2))):
                    event = span.events.add(name=draw(TEXT), time_unix_nano=NOW - draw(st.integers(0, 10**9)))
                    add_attributes(event.attributes, draw(ATTRIBUTES))
                if draw(st.booleans()):
                    add_attributes(
                        span.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8).attributes, draw(ATTRIBUTES)
                    )
    return message


def general(body: bytes, identity: Identity) -> Batch | None:
    try:
        return read_spans(parse(Signal.TRACES, body), identity, NOW)
    except MalformedTelemetryError:
        return None


def plain(value: Any) -> Any:
    """A stored value to compare by: JSON by its meaning, numbers by theirs."""
    if isinstance(value, str):
        try:
            return plain(json.loads(value) if value[:1] in "{[" else float(value))
        except ValueError:
            return value
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def assert_same(body: bytes, identity: Identity) -> bool:
    fast = read_plain_spans(body, identity, NOW)
    if fast is None:
        return False
    slow = general(body, identity)
    assert slow is not None, "the fast way took what cannot be read"
    assert (fast.accepted, fast.rejected, fast.adjusted) == (slow.accepted, slow.rejected, slow.adjusted)
    for name, table in slow.tables.items():
        for column in table.column_names:
            mine, theirs = fast.tables[name][column], table[column]
            assert mine.type == theirs.type, column
            assert plain(mine.to_pylist()) == plain(theirs.to_pylist()), column
    return True


SOURCES = st.sampled_from(
    [Identity(), Identity(("scope.name",)), Identity(("gen_ai.tool.name", "plugin.id", "service.name"))]
)


def test_the_library_is_there() -> None:
    assert available()


@given(requests(), SOURCES)
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_both_ways_make_the_same_of_what_is_well_formed(message: Any, identity: Identity) -> None:
    count = sum(len(scope.spans) for group in message.resource_spans for scope in group.scope_spans)
    assert assert_same(message.SerializeToString(), identity) == (count > 0)


@given(requests(), st.integers(0, 2**32), SOURCES)
@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_damaged_is_left_alone_or_read_the_same(message: Any, seed: int, identity: Identity) -> None:
    chance = random.Random(seed)
    body = bytearray(message.SerializeToString())
    for _ in range(chance.randint(1, 3)):
        if body:
            at = chance.randrange(len(body))
            kind = chance.randrange(4)
            if kind == 0:
                body[at] ^= 1 << chance.randrange(8)
            elif kind == 1:
                del body[at : at + chance.randint(1, 4)]
            elif kind == 2:
                body[at:at] = bytes([chance.choice([0, 1, 0x0A, 0x12, 0x7F, 0x80, 0xFF])]) * chance.randint(1, 11)
            else:
                body[at] = chance.randrange(256)
    assert_same(bytes(body), identity)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda span: span.attributes.extend([span.attributes.add(key=f"k{number}") for number in range(65)]),
        lambda span: setattr(span, "span_id", b"short"),
        lambda span: setattr(span, "start_time_unix_nano", 1),
    ],
)
def test_what_is_odd_takes_the_general_way(spoil: Any) -> None:
    message = spans(3)
    spoil(message.resource_spans[0].scope_spans[0].spans[1])
    assert read_plain_spans(message.SerializeToString(), Identity(), NOW) is None


def test_values_nested_without_end_take_the_general_way() -> None:
    message = spans()
    value = message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="deep").value
    for _ in range(40):
        value = value.array_value.values.add()
    assert read_plain_spans(message.SerializeToString(), Identity(), NOW) is None


def test_without_the_library_everything_works_as_well() -> None:
    code = (
        "from plugwarden_collector.receive.native import available\n"
        "from plugwarden_collector.receive.decode import Signal, read\n"
        f"batch = read(Signal.TRACES, bytes.fromhex({spans(2).SerializeToString().hex()!r}), now_ns={NOW})\n"
        "print(available(), batch.accepted)"
    )
    environ = {**os.environ, "PLUGWARDEN_NATIVE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    assert done.stdout.split() == ["False", "2"]
