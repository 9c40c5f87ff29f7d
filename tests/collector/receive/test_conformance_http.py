"""OTLP over HTTP where it is more than a message: paths, methods, headers, encodings, and clients that stall or leave."""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx2
import pytest
from google.rpc import status_pb2
from plugwarden_collector.web import exchange, http_protocol
from plugwarden_collector.web.encoding import MAX_BODY_BYTES

from tests.collector.conftest import Running, running
from tests.collector.support.http_bytes import almost_http, statuses
from tests.collector.support.otlp_client import PROTOBUF, requests_counted, rows, spans

HEADERS = {"content-type": PROTOBUF}


def post(collector: Running, body: bytes = b"", path: str = "/v1/traces", **headers: str) -> httpx2.Response:
    named = {**HEADERS, **{key.replace("_", "-"): value for key, value in headers.items()}}
    return httpx2.post(f"{collector.http}{path}", content=body, headers=named, timeout=30)


def message(answer: httpx2.Response) -> str:
    """What the status in an error body says, in whichever of the two encodings the header names."""
    if answer.headers["content-type"] == PROTOBUF:
        return status_pb2.Status.FromString(answer.content).message
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["message"])


class Raw:
    """A client that can do what no library would."""

    def __init__(self, collector: Running) -> None:
        host, _, port = collector.http.removeprefix("http://").rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)

    def send(self, *lines: str, body: bytes = b"") -> None:
        head = ["POST /v1/traces HTTP/1.1", "host: localhost", f"content-type: {PROTOBUF}", *lines]
        self.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def answer(self) -> tuple[int, bytes]:
        """Status and everything until the collector closes."""
        seen = b""
        while part := self.socket.recv(65536):
            seen += part
        return int(seen.split()[1]), seen


@pytest.fixture
def raw(shared: Running) -> Iterator[Raw]:
    client = Raw(shared)
    yield client
    client.socket.close()


# Paths, methods, headers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/v1/traces/", "/v1/trace", "/v1", "/v1development/profiles", "/v1/%ff%00"])
def test_another_path_is_told_the_right_ones(shared: Running, path: str) -> None:
    answer = post(shared, path=path)
    assert answer.status_code == 404
    assert "/v1/traces, /v1/metrics, /v1/logs" in message(answer)
    assert answer.headers["content-type"] == PROTOBUF


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_another_method_is_told_the_right_one(shared: Running, method: str) -> None:
    answer = httpx2.request(method, f"{shared.http}/v1/logs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert answer.content == b"" if method == "HEAD" else "POST" in message(answer)


def test_options_says_what_is_possible_and_lets_no_other_origin_in(shared: Running) -> None:
    answer = httpx2.options(f"{shared.http}/v1/traces", headers={"origin": "https://evil.example"})
    assert (answer.status_code, answer.headers["allow"]) == (204, "POST, OPTIONS")
    assert not [key for key in answer.headers if key.startswith("access-control")]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-protobufs", "application/json, text/plain"])
def test_another_media_type_is_told_the_right_ones(shared: Running, kind: str) -> None:
    answer = post(shared, content_type=kind)
    assert (answer.status_code, answer.headers["accept"]) == (415, "application/x-protobuf, application/json")
    assert repr(kind) in message(answer)


def test_parameters_and_case_of_the_media_type_do_not_matter(shared: Running) -> None:
    answer = post(shared, b"{}", content_type="Application/JSON; charset=UTF-8")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "snappy"])
def test_another_encoding_is_told_the_right_ones(shared: Running, encoding: str) -> None:
    answer = post(shared, b"x", content_encoding=encoding)
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate, identity")
    assert encoding in message(answer)


@pytest.mark.parametrize("encoding", ["identity", "none", ""])
def test_no_encoding_has_several_names(shared: Running, encoding: str) -> None:
    assert post(shared, spans("plain").SerializeToString(), content_encoding=encoding).status_code == 200


def test_gzip_in_several_members_and_bare_deflate_arrive(shared: Running, name: str) -> None:
    body = spans(name).SerializeToString()
    members = gzip.compress(body[:40]) + gzip.compress(b"") + gzip.compress(body[40:])
    assert post(shared, members, content_encoding="gzip").status_code == 200
    body = spans(name).SerializeToString()
    packer = zlib.compressobj(wbits=-15)
    bare = packer.compress(body) + packer.flush()
    assert post(shared, bare, content_encoding="deflate").status_code == 200
    assert len(rows(shared, "spans", name)) == 2


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4318", "localhost.evil.example", "127.0.0.1.nip.io"])
def test_another_host_is_not_served_without_a_token(shared: Running, host: str) -> None:
    answer = post(shared, spans("foreign").SerializeToString(), host=host)
    assert answer.status_code == 400
    assert host.partition(":")[0] in message(answer)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:4318", "[::1]", "[::1]:4318"])
def test_this_machine_has_several_names(shared: Running, host: str) -> None:
    assert post(shared, host=host).status_code == 200


def test_an_error_in_json_has_its_details(shared: Running) -> None:
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "SERVER"}]}]}]}).encode()
    found = post(shared, body, content_type="application/json").json()
    field = "resourceSpans[0].scopeSpans[0].spans[0].kind"
    assert found["code"] == 3
    assert found["message"] == f"{field}: must be the enum's number, not a string"
    [detail] = found["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert detail["fieldViolations"] == [{"field": field, "description": found["message"]}]


# Clients that stall, leave, or do not stop ---------------------------------------------------------------------------


def test_a_connection_serves_one_request_after_another(shared: Running) -> None:
    with httpx2.Client(headers=HEADERS) as client:
        for status, body in ((200, b""), (400, b"\xff"), (200, spans("again").SerializeToString())):
            answer = client.post(f"{shared.http}/v1/traces", content=body)
            assert answer.status_code == status
            assert "connection" not in answer.headers


def test_a_body_in_chunks_without_a_length_arrives(raw: Raw, shared: Running, name: str) -> None:
    body = spans(name, 2000).SerializeToString()
    raw.send("transfer-encoding: chunked", "connection: close")
    for start in range(0, len(body), 1000):
        part = body[start : start + 1000]
        raw.socket.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    raw.socket.sendall(b"0\r\n\r\n")
    assert raw.answer()[0] == 200
    assert shared.scalar("select count(*) from spans where service_name = $name", name=name) == 2000


def test_a_length_above_the_limit_is_refused_before_the_body_is_sent(raw: Raw) -> None:
    raw.send(f"content-length: {10**15}", "expect: 100-continue")
    assert raw.socket.recv(12) == b"HTTP/1.1 413"


def test_who_sends_without_end_still_sees_the_answer(raw: Raw) -> None:
    raw.send("transfer-encoding: chunked")
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for _ in range(MAX_BODY_BYTES // (1 << 20) + 5):
        raw.socket.sendall(chunk)
    raw.socket.sendall(b"0\r\n\r\n")
    status, text = raw.answer()
    assert status == 413
    assert b"connection: close" in text


def test_who_promises_a_body_and_stops_is_let_go(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(exchange, "DRAIN_SECONDS", 0.2)
    raw.send("content-length: 1000", body=b"only this")
    status, text = raw.answer()  # ends when the collector closes
    assert status == 503
    assert b"retry-after: 1" in text


def test_who_is_refused_and_stops_is_let_go(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "DRAIN_SECONDS", 0.2)
    raw.send("content-encoding: br", "content-length: 1000", body=b"only this")
    assert raw.answer()[0] == 415


@pytest.mark.parametrize("head", [b"", b"POST /v1/tra", b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nx: "])
def test_who_does_not_finish_the_head_is_let_go(shared: Running, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    client = Raw(shared)
    client.socket.sendall(head)
    assert client.socket.recv(100) == b""
    client.socket.close()


@pytest.mark.parametrize("endless", [b"x-endless: ", b"GET /", b"x-a: b\r\n"], ids=["value", "target", "fields"])
def test_a_head_without_end_is_refused(shared: Running, endless: bytes) -> None:
    host, port = shared.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        start = b"" if endless.startswith(b"GET") else b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n"
        client.sendall(start + endless)
        assert _sent_until_closed(client, endless if endless.endswith(b"\n") else b"x") < 32 * 1024 * 1024


@pytest.mark.parametrize("endless", [b"x-endless: ", b"x-a: b\r\n"], ids=["value", "fields"])
def test_trailers_without_end_are_refused(raw: Raw, endless: bytes) -> None:
    raw.send("transfer-encoding: chunked", "content-type: application/x-protobuf")
    raw.socket.sendall(b"2\r\n\x0a\x00\r\n0\r\n" + endless)
    more = endless if endless.endswith(b"\n") else b"x"
    assert _sent_until_closed(raw.socket, more) < 32 * 1024 * 1024


def _sent_until_closed(client: socket.socket, piece: bytes) -> int:
    """How much the collector takes before it hangs up; what fits the kernel's buffers, some 10 MB, counts as taken."""
    block = piece * (16 * 1024 // len(piece))
    sent = 0
    try:
        while sent < 64 * 1024 * 1024:
            client.sendall(block)
            sent += len(block)
    except ConnectionError:
        pass
    return sent


def test_a_trailer_does_not_pass_for_a_header(tmp_path: Path) -> None:
    with running(tmp_path, token="secret-token-of-some-length") as collector:
        host, port = collector.http.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(
                b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n"
                b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\n\x0a\x00\r\n0\r\n"
                b"authorization: Bearer secret-token-of-some-length\r\n\r\n"
            )
            assert client.recv(12) == b"HTTP/1.1 401"


def test_who_closes_its_side_after_the_request_is_answered(shared: Running) -> None:
    host, port = shared.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(
            b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n"
            b"content-length: 2\r\n\r\n\x0a\x00"
        )
        client.shutdown(socket.SHUT_WR)
        assert client.recv(12) == b"HTTP/1.1 200"
        while client.recv(1000):
            pass  # and then it hangs up


def test_who_takes_time_between_requests_is_not(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    for _ in range(2):
        raw.send("content-length: 0")
        assert raw.socket.recv(12) == b"HTTP/1.1 200"
        raw.socket.recv(1000)
        time.sleep(0.4)  # longer than a head may take: the clock starts at its first byte


def test_who_leaves_in_the_middle_is_counted_and_stores_nothing(collector: Running) -> None:
    body = spans("left").SerializeToString()
    client = Raw(collector)
    client.send(f"content-length: {len(body)}", body=body[:-1])
    client.socket.close()
    while requests_counted(collector, "disconnected") < 1:
        time.sleep(0.01)
    assert rows(collector, "spans", "left") == []


def test_who_leaves_before_the_answer_is_nothing_to_log(shared: Running, caplog: pytest.LogCaptureFixture) -> None:
    host, port = shared.http.removeprefix("http://").split(":")
    good = (
        b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n"
        b"content-length: 2\r\n\r\n\x0a\x00"
    )
    for rest in (b"", good, b"no request\r\n\r\n") * 20:
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(good + rest)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
    assert httpx2.post(f"{shared.http}/v1/traces", headers={"content-type": PROTOBUF}).status_code == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_what_is_almost_http_is_answered_or_let_go(shared: Running, caplog: pytest.LogCaptureFixture) -> None:
    random, answered = Random(1), Counter[int]()
    for _ in range(400):
        parts = almost_http(random)
        found = statuses(shared.http.removeprefix("http://"), parts)
        assert all(code < 500 or code == 503 for code in found), parts
        answered.update(found)
    assert {200, 204, 400, 405, 415} <= set(answered)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_websocket_is_not_opened(raw: Raw) -> None:
    raw.socket.sendall(
        b"GET /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert raw.socket.recv(12) in {b"HTTP/1.1 403", b"HTTP/1.1 405"}


def test_with_a_token_any_host_may_send(tmp_path: Path) -> None:
    with running(tmp_path / "data", token="a-token-of-some-length") as collector:
        answer = post(collector, host="collector.example", authorization="Bearer a-token-of-some-length")
        assert answer.status_code == 200
        answer = post(collector, host="collector.example")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_every_result_that_is_counted_stands_in_the_reference() -> None:
    root = Path(__file__).parents[3]
    reference = (root / "docs/reference/otlp.md").read_text("utf-8")
    receive = root / "collector/plugwarden_collector/receive"
    source = "".join((receive / f"{module}.py").read_text("utf-8") for module in ("http", "grpc", "responses"))
    found = re.findall(r'(?:Refusal\([^)]*?|return |else |count\(signal, "\w+", )"([a-z_]+)"', source)
    assert {"stored", "repeated", "busy", "too_large", "foreign", "abandoned", "unauthenticated"} <= {*found}
    for result in {*found} - {"unknown"}:  # 404s are not counted
        assert f"`{result}`" in reference
