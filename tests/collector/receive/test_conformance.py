"""OTLP to the letter, the same over every transport, encoding and compression: what is sent is there, what is refused says why."""

from __future__ import annotations

import os
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from plugwarden_collector.errors import BusyError, MalformedTelemetryError, PayloadTooLargeError
from plugwarden_collector.receive import grpc, http, intake
from plugwarden_collector.store.duckdb.write import writer
from plugwarden_collector.web.byte_budget import Allowance
from plugwarden_collector.web.encoding import MAX_BODY_BYTES, inflate

from tests.collector.conftest import Running, running
from tests.collector.support.otlp_client import (
    MESSAGES,
    SIGNALS,
    TRANSPORTS,
    T,
    any_value,
    attribute,
    held,
    logs,
    points,
    requests_counted,
    rows,
    send,
    send_bytes,
    spans,
)

NESTED = {"list": [1, "two", [3.5, True]], "map": {"bytes": b"\x00\xff", "empty": None}}
NESTED_TEXT = '{"list":[1,"two",[3.5,true]],"map":{"bytes":"AP8=","empty":null}}'


# What arrives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_span_arrives_with_all_it_has(shared: Running, name: str, transport: str) -> None:
    message = spans(name)
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.parent_span_id, span.kind = bytes(range(1, 9)), 3
    span.status.code, span.status.message = 2, "broken"
    attribute(span.attributes, "nested", NESTED)
    attribute(span.attributes, "n", -(2**63))
    event = span.events.add(time_unix_nano=T + 1000, name="exception")
    attribute(event.attributes, "exception.type", "ValueError")
    link = span.links.add(trace_id=bytes(range(16)), span_id=bytes(range(8)))
    attribute(link.attributes, "why", "retry")
    reply = send(shared, transport, "traces", message)
    assert reply.verdict == "stored"
    assert not reply.response.HasField("partial_success")
    [row] = rows(shared, "spans", name)
    assert (row["trace_id"], row["span_id"]) == (span.trace_id.hex(), span.span_id.hex())
    assert row["parent_span_id"] == "0102030405060708"
    assert (row["kind"], row["status"], row["status_message"]) == ("client", "error", "broken")
    assert (row["scope_name"], row["scope_version"], row["duration_seconds"]) == ("csv", "1.2", 0.0015)
    assert dict(row["attributes"]) == {"nested": NESTED_TEXT, "n": str(-(2**63))}
    assert row["events"][0]["name"] == "exception"
    assert dict(row["events"][0]["attributes"]) == {"exception.type": "ValueError"}
    assert (row["links"][0]["trace_id"], row["links"][0]["span_id"]) == (link.trace_id.hex(), link.span_id.hex())
    assert dict(row["links"][0]["attributes"]) == {"why": "retry"}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_log_record_arrives_with_all_it_has(shared: Running, name: str, transport: str) -> None:
    message = logs(name)
    record = message.resource_logs[0].scope_logs[0].log_records[0]
    record.trace_id, record.span_id, record.event_name = bytes(range(16)), bytes(range(1, 9)), "app.failed"
    record.body.CopyFrom(any_value(NESTED))
    attribute(record.attributes, "exception.type", "ValueError")
    attribute(record.attributes, "nested", NESTED)
    late = message.resource_logs[0].scope_logs[0].log_records.add(observed_time_unix_nano=T + 10**9)
    late.body.string_value = "seen, not dated"
    assert send(shared, transport, "logs", message).verdict == "stored"
    first, second = rows(shared, "logs", name)
    assert (first["body"], first["event_name"], first["severity_number"]) == (NESTED_TEXT, "app.failed", 17)
    assert (first["trace_id"], first["span_id"]) == (bytes(range(16)).hex(), "0102030405060708")
    assert dict(first["attributes"]) == {"exception.type": "ValueError", "nested": NESTED_TEXT}
    assert second["time"].timestamp() == T / 10**9 + 1
    assert (second["body"], second["trace_id"]) == ("seen, not dated", None)


@pytest.mark.parametrize("temporality", ["delta", "cumulative"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_points_of_all_kinds_arrive(shared: Running, name: str, transport: str, temporality: str) -> None:
    message = points(name)
    number = {"delta": 1, "cumulative": 2}[temporality]
    metrics = message.resource_metrics[0].scope_metrics[0].metrics
    total = metrics.add(name="total", unit="By")
    total.sum.aggregation_temporality, total.sum.is_monotonic = number, True
    for start, value in ((T, 10.5), (T + 5 * 10**9, 0.5)):  # a reset: the start moves, the value falls
        total.sum.data_points.add(start_time_unix_nano=start, time_unix_nano=start + 10**9, as_double=value)
    exemplar = total.sum.data_points[0].exemplars.add(time_unix_nano=T, as_double=0.25, trace_id=bytes(range(16)))
    exemplar.span_id = bytes(range(8))
    explicit = metrics.add(name="explicit")
    explicit.histogram.aggregation_temporality = number
    point = explicit.histogram.data_points.add(time_unix_nano=T, count=6, sum=9.5, min=0.1, max=4)
    point.bucket_counts.extend([1, 2, 3])
    point.explicit_bounds.extend([1, 2])
    exponential = metrics.add(name="exponential")
    exponential.exponential_histogram.aggregation_temporality = number
    found = exponential.exponential_histogram.data_points.add(time_unix_nano=T, count=7, sum=3, scale=4, zero_count=1)
    found.positive.offset = -3
    found.positive.bucket_counts.extend([1, 0, 5])
    summary = metrics.add(name="summary").summary.data_points.add(time_unix_nano=T, count=4, sum=8)
    summary.quantile_values.add(quantile=0.5, value=2)
    summary.quantile_values.add(quantile=0.99, value=3)
    assert send(shared, transport, "metrics", message).verdict == "stored"
    sent = rows(shared, "metric_points", name)
    assert [row["metric"] for row in sent] == ["depth", "explicit", "exponential", "summary", "total", "total"]
    by_name = {row["metric"]: row for row in sent}
    assert (by_name["depth"]["value"], by_name["depth"]["temporality"]) == (7, None)
    row = by_name["explicit"]
    assert (row["count"], row["sum"], row["min"], row["max"]) == (6, 9.5, 0.1, 4)
    assert (row["bucket_count"], row["explicit_bounds"]) == ([1, 2, 3], [1, 2])
    row = by_name["exponential"]
    assert (row["count"], row["zero_count"], row["scale"]) == (7, 1, 4)
    assert (row["bucket_index"], row["bucket_count"]) == ([-3, -1], [1, 5])
    row = by_name["summary"]
    assert (row["kind"], row["count"], row["sum"]) == ("summary", 4, 8)
    assert (row["quantile"], row["quantile_value"]) == ([0.5, 0.99], [2, 3])
    assert by_name["explicit"]["quantile"] is None
    before, after = (row for row in sent if row["metric"] == "total")
    assert (before["value"], after["value"], before["unit"]) == (10.5, 0.5, "By")
    assert (after["started_at"] - before["started_at"]).total_seconds() == 5
    assert (before["exemplar_trace_id"], before["exemplar_value"]) == (bytes(range(16)).hex(), 0.25)
    assert {row["temporality"] for row in (*(by_name[key] for key in ("explicit", "exponential")), before)} == {
        temporality
    }


# What is answered ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_empty_request_is_a_success(shared: Running, transport: str, signal: str) -> None:
    for body in (b"{}" if transport.startswith("json") else b"", None):
        message = SIGNALS[signal][1]()
        if body is None:
            getattr(message, message.DESCRIPTOR.fields[0].name).add()
        reply = (
            send(shared, transport, signal, message) if body is None else send_bytes(shared, transport, signal, body)
        )
        assert reply.verdict == "stored"
        assert not reply.response.HasField("partial_success")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_cannot_be_kept_is_counted_and_explained_and_the_rest_is_kept(
    shared: Running, name: str, transport: str
) -> None:
    message = spans(name, 3)
    for bad in (b"", bytes(5)):
        message.resource_spans[0].scope_spans[0].spans.add(trace_id=bad, span_id=os.urandom(8), name="bad")
    reply = send(shared, transport, "traces", message)
    assert reply.verdict == "stored"
    assert reply.response.partial_success.rejected_spans == 2
    assert "trace_id" in reply.response.partial_success.error_message
    assert len(rows(shared, "spans", name)) == 3


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_no_request_is_refused_for_good(shared: Running, transport: str, signal: str) -> None:
    for body in (b"\xff no request", MESSAGES[signal]("cut short").SerializeToString()[:-3]):
        reply = send_bytes(shared, transport, signal, body)
        assert (reply.verdict, reply.retry_seconds) == ("refused", None)
        assert reply.code in {"INVALID_ARGUMENT", "400 INVALID_ARGUMENT"}
        assert [violation.description for violation in reply.violations] == [reply.text]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("way", ["grpc", "http"])
def test_compressed_data_that_are_broken_are_refused_for_good(shared: Running, way: str, encoding: str) -> None:
    whole = {"gzip": 31, "deflate": 15}[encoding]
    packer = zlib.compressobj(wbits=whole)
    data = packer.compress(spans("never").SerializeToString()) + packer.flush()
    for body in (data[:-4], data[:12] + b"\xff\xff\xff" + data[15:], data + b"more"):
        reply = send_bytes(shared, way, "traces", body, declared=encoding)
        assert reply.verdict == "refused"
        assert "INVALID_ARGUMENT" in reply.code
        assert encoding in reply.text


def test_a_message_that_grpc_itself_could_not_inflate_is_an_invalid_argument(shared: Running) -> None:
    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload

    headers = {
        ":method": "POST", ":scheme": "http", ":path": f"/{SIGNALS['traces'][0]}/Export", ":authority": "localhost",
        "te": "trailers", "content-type": "application/grpc", "grpc-encoding": "gzip",
    }  # fmt: skip
    packed = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )
    message = b"\x01" + (5).to_bytes(4) + b"\x1f\x8b\x08\x00\xff"  # marked as compressed, and no gzip
    host, _, port = shared.grpc.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, packed) + frame(0, 1, 1, message)
        )
        seen = b""
        while b"grpc-status" not in seen:
            seen += raw.recv(65536)
    assert b"grpc-status\x013" in seen  # 3 is INVALID_ARGUMENT


def test_a_request_larger_than_grpcs_own_limit_is_stored(shared: Running, name: str) -> None:
    for transport in ("grpc", "http"):
        message = spans(name)
        attribute(message.resource_spans[0].scope_spans[0].spans[0].attributes, "long", "x" * 6_000_000)
        assert send(shared, transport, "traces", message).verdict == "stored"
    assert len(rows(shared, "spans", name)) == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_too_large_before_or_after_decompression_is_refused_for_good(shared: Running, transport: str) -> None:
    reply = send_bytes(shared, transport, "traces", bytes(MAX_BODY_BYTES + 1))
    assert (reply.verdict, reply.retry_seconds) == ("refused", None)
    assert reply.code in {"RESOURCE_EXHAUSTED", "413 RESOURCE_EXHAUSTED"}
    if "+" in transport:
        assert "decompressed" in reply.text


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_costs_no_more_than_the_limit(encoding: str) -> None:
    packer = zlib.compressobj(9, wbits={"gzip": 31, "deflate": 15}[encoding])
    bomb = b"".join([packer.compress(bytes(1 << 20)) for _ in range(256)] + [packer.flush()])
    tracemalloc.start()
    with pytest.raises(PayloadTooLargeError, match="decompressed"):
        inflate(bomb, encoding, 1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 << 20


def test_members_without_end_are_refused() -> None:
    member = zlib.compressobj(wbits=31).flush()
    assert inflate(member * 100, "gzip") == b""
    with pytest.raises(MalformedTelemetryError, match="follow"):
        inflate(member * 100_000, "gzip")


@pytest.mark.parametrize("transport", ["grpc", "http", "json"])
def test_without_the_right_token_nothing_is_taken(tmp_path: Path, transport: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("sender ingest a-token-that-sends\nreader read a-token-that-reads\n")
    with running(tmp_path / "data", token="a-token-for-everything", PLUGWARDEN_TOKENS_FILE=str(tokens)) as collector:
        for token, verdict, code in (
            (None, "refused", "UNAUTHENTICATED"),
            ("a-token-of-nobody-here", "refused", "UNAUTHENTICATED"),
            ("a-token-that-reads", "refused", "PERMISSION_DENIED"),
            ("a-token-that-sends", "stored", ""),
        ):
            reply = send(collector, transport, "traces", spans("anyone"), token)
            assert reply.verdict == verdict
            assert code in reply.code


# Pressure and faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["grpc", "http", "json"])
def test_under_pressure_clients_are_sent_away_for_a_while_and_nothing_is_lost(
    collector: Running, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", 100_000)
    queued, refused = spans("queued", 1000), spans("refused")
    with ThreadPoolExecutor(1) as pool, held(collector):
        first = pool.submit(send, collector, transport, "traces", queued)
        while not collector.collector.writer.queued_bytes:
            time.sleep(0.01)
        reply = send(collector, transport, "traces", refused)
        assert reply.verdict == "later"
        assert reply.code in {"UNAVAILABLE", "503 UNAVAILABLE"}
        assert reply.retry_seconds == 1
        assert not first.done()
    assert first.result().verdict == "stored"
    assert rows(collector, "spans", "refused") == []
    assert send(collector, transport, "traces", refused).verdict == "stored"
    assert (len(rows(collector, "spans", "queued")), len(rows(collector, "spans", "refused"))) == (1000, 1)
    assert requests_counted(collector, "busy") == 1


@pytest.mark.parametrize("transport", ["grpc", "http", "json"])
def test_a_commit_that_does_not_come_is_answered_with_later(
    collector: Running, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "TAKE_TIMEOUT_SECONDS", 0.2)
    message = spans("slow")
    with held(collector):
        reply = send(collector, transport, "traces", message)
        assert (reply.verdict, reply.retry_seconds) == ("later", 5)
    assert send(collector, transport, "traces", message).verdict == "stored"
    assert len(rows(collector, "spans", "slow")) == 1  # the first was stored in the end, the second is a repeat


class Panic(BaseException):
    """As native code raises it: no Exception."""


@pytest.mark.parametrize("failure", [ValueError("nobody thought of that"), Panic("index out of bounds")])
@pytest.mark.parametrize("transport", ["grpc", "http", "json"])
def test_a_decoder_that_fails_is_a_permanent_error_logged_once_and_counted(
    collector: Running,
    transport: str,
    failure: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise failure

    monkeypatch.setattr(intake, "read", fail)
    for _ in range(3):
        reply = send(collector, transport, "traces", spans("any"))
        assert reply.verdict == "refused"
        assert "INVALID_ARGUMENT" in reply.code
    assert len([record for record in caplog.records if "the decoder failed" in record.message]) == 1
    assert requests_counted(collector, "unreadable") == 3


@pytest.mark.parametrize("transport", ["grpc+gzip", "http+gzip", "json+gzip"])
def test_nothing_is_inflated_or_parsed_on_the_event_loop(
    shared: Running, name: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()

    def noting(work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            threads.add(threading.current_thread().name.partition("_")[0])
            return work(*arguments, **named)

        return noted

    for module, function in ((http, "inflate"), (http, "to_protobuf_in_part"), (grpc, "inflate"), (intake, "read")):
        monkeypatch.setattr(module, function, noting(getattr(module, function)))
    assert send(shared, transport, "traces", spans(name)).verdict == "stored"
    assert threads == {"plugwarden-decode"}


@pytest.mark.parametrize("transport", ["grpc", "http", "json"])
def test_a_refusal_is_no_longer_than_trailers_can_be(
    shared: Running, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise MalformedTelemetryError("x" * 100_000, "y" * 100_000)

    monkeypatch.setattr(intake, "read", fail)
    reply = send(shared, transport, "traces", spans("any"))
    assert (reply.verdict, len(reply.text)) == ("refused", 1000)


def test_bytes_in_hand_are_bounded_and_given_back() -> None:
    allowance = Allowance(100)
    with allowance.holding(60) as hold:
        hold.grow(40)
        with pytest.raises(BusyError), allowance.holding(1):
            pass
        with pytest.raises(BusyError):
            hold.grow(1)
        assert allowance.in_hand == 100
    assert allowance.in_hand == 0
