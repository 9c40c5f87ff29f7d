"""A request is saved from its bad records."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.receive.decode import bad_records
from plugwarden_collector.receive.decode.bad_records import MAX_FIELDS, salvage
from plugwarden_collector.receive.decode.requests import Signal, read

from tests.collector.support.rolled_store import AT, ns, span


def test_saving_a_request_takes_no_more_than_the_request() -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="k").value.string_value = "x" * 50_000
    for number in range(200):
        group.scope_spans.add().spans.add(name=f"span {number}")
    body = message.SerializeToString().replace(b"span 77", b"\xff\xfean 77")
    largest = []

    def reads(part: bytes) -> bool:
        largest.append(len(part))
        return b"\xff\xfe" not in part

    saved = salvage(body, reads)
    assert saved is not None
    assert saved.refused == 1
    assert max(largest) <= len(body)


def test_a_resource_that_makes_the_parser_panic_costs_its_own_spans_alone() -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message)
    good = message.SerializeToString()
    inner = b"\x0a\x0b" + b"\x0a" + b"\xff" * 9 + b"\x01" + message.resource_spans[0].SerializeToString()
    batch = read(Signal.TRACES, good + b"\x0a" + bytes([len(inner)]) + inner, now_ns=ns(AT))
    assert (batch.accepted, batch.rejected) == (1, 1)


@pytest.mark.parametrize(
    "body",
    [
        bytes(20 * 1024**2),  # fields without a number, some 20 KB when packed
        b"\x78\x00" * 10 * 1024**2,
        b"\x0a\x00" * 10 * 1024**2,
        b"\x0a\xfe\xff\xff\x07" + b"\x12\x00" * 8_388_607,
        b"\x0a\x84\x80\x80\x08\x12\x80\x80\x80\x08" + b"\x12\x00" * 8_388_608,
    ],
    ids=["zeros", "unknown fields", "groups", "scopes", "records"],
)
def test_what_no_sender_makes_is_not_taken_apart(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = []
    varint = bad_records._varint

    def counted(data: bytes, position: int) -> tuple[int, int]:
        numbers.append(position)
        return varint(data, position)

    monkeypatch.setattr(bad_records, "_varint", counted)
    assert salvage(body, lambda part: False) is None
    assert len(numbers) <= 2 * MAX_FIELDS + 10
