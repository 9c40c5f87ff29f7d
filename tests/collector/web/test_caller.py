"""Who may pass for a person on this machine: not a proxy, not a web page elsewhere, not another name of loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx2
import pytest
from plugwarden_collector.api.client import ApiError, CollectorClient
from plugwarden_collector.web.caller import LOCAL_NAMES, host_name, outsider, wrong_host

from tests.collector.conftest import Running, running

TOKEN = "a-token-of-some-length"
PROTOBUF = {"content-type": "application/x-protobuf"}
FORWARDED = [
    ("forwarded", "for=203.0.113.7"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "plugwarden.example"),
    ("x-forwarded", "for=203.0.113.7"),
    ("via", "1.1 proxy"),
    ("x-real-ip", "203.0.113.7"),
    ("true-client-ip", "203.0.113.7"),
    ("x-envoy-external-address", "203.0.113.7"),
]
PAGES = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:9999"},
    {"origin": "http://127.0.0.1"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
]
ROUTES = [
    ("GET", "/api/v1/plugins"), ("GET", "/api/v1/directives"), ("GET", "/api/v1/directives/stream"), ("GET", "/metrics"),
    ("GET", "/openapi.json"), ("GET", "/livez"), ("GET", "/api/v1/backup"),
    ("POST", "/api/v1/query"), ("POST", "/api/v1/quarantine"), ("POST", "/api/v1/automation"), ("POST", "/api/v2/alerts"),
]  # fmt: skip


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector without tokens."""
    with running(tmp_path_factory.mktemp("open") / "data") as found:
        yield found


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("locked") / "data", token=TOKEN) as found:
        yield found


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(("name", "value"), FORWARDED[:3])
def test_behind_a_proxy_nobody_is_a_local_operator(
    open_: Running, method: str, path: str, name: str, value: str
) -> None:
    body = {"plugin": "csv", "reason": "from afar", "frozen": True, "sql": "select 1"} if method == "POST" else None
    answer = httpx2.request(method, f"{open_.url}{path}", json=body, headers={name: value})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert name in answer.text
    assert "PLUGWARDEN_TOKEN" in answer.text


@pytest.mark.parametrize(("name", "value"), FORWARDED)
def test_telemetry_through_a_proxy_needs_a_token_over_http_and_grpc(open_: Running, name: str, value: str) -> None:
    answer = httpx2.post(f"{open_.http}/v1/traces", headers={**PROTOBUF, name: value})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert export(open_, ((name, value),)) == grpc.StatusCode.UNAUTHENTICATED


def test_telemetry_from_this_machine_needs_none(open_: Running) -> None:
    assert httpx2.post(f"{open_.http}/v1/traces", headers=PROTOBUF).status_code == 200
    assert export(open_, (("x-scope", "forwarded"),)) == grpc.StatusCode.OK


def test_with_a_token_a_proxy_may_stand_in_between(locked: Running) -> None:
    forwarded = {"x-forwarded-for": "203.0.113.7", "host": "plugwarden.example", "origin": "https://plugwarden.example"}
    headers = {**forwarded, "authorization": f"Bearer {TOKEN}"}
    assert httpx2.get(f"{locked.url}/api/v1/plugins", headers=headers).status_code == 200
    assert httpx2.get(f"{locked.url}/api/v1/plugins", headers=forwarded).status_code == 401
    assert httpx2.post(f"{locked.http}/v1/traces", headers={**PROTOBUF, **headers}).status_code == 200
    metadata = (("x-forwarded-for", "203.0.113.7"), ("authorization", f"Bearer {TOKEN}"))
    assert export(locked, metadata) == grpc.StatusCode.OK


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_web_page_elsewhere_reads_and_does_nothing(open_: Running, page: dict[str, str]) -> None:
    for method, path in ROUTES:
        answer = httpx2.request(method, f"{open_.url}{path}", headers=page)
        assert answer.status_code == 403, path
        assert answer.headers["content-type"] in {"application/problem+json", "application/json"}
    assert httpx2.post(f"{open_.http}/v1/traces", headers={**PROTOBUF, **page}).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_what_a_page_may_send_without_asking_does_not_act(open_: Running, kind: str | None) -> None:
    """An old browser says neither Origin nor Sec-Fetch-Site: then the media type is what is left."""
    headers = {} if kind is None else {"content-type": kind}
    body = b'{"plugin": "csv", "reason": "a page says so", "frozen": true}'
    pushed = httpx2.post(f"{open_.url}/api/v2/alerts", content=b'[{"labels": {"alertname": "x"}}]', headers=headers)
    assert pushed.status_code == 415
    for path in ("/api/v1/quarantine", "/api/v1/automation", "/api/v1/silences", "/api/v1/query"):
        assert httpx2.post(f"{open_.url}{path}", content=body, headers=headers).status_code == 422, path
    assert httpx2.post(f"{open_.http}/v1/traces", content=b"", headers=headers).status_code == 415
    assert open_.api.get("alerts")["alerts"] == []
    assert open_.api.get("quarantine") == []
    assert open_.api.get("audit", stream="decisions") == []


def test_a_link_to_an_answer_may_be_followed(open_: Running) -> None:
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert httpx2.get(f"{open_.url}/metrics", headers=followed).status_code == 200
    typed = {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert httpx2.get(f"{open_.url}/metrics", headers=typed).status_code == 200
    posted = httpx2.post(f"{open_.url}/api/v1/query", headers=followed, json={"sql": "select 1"})
    assert posted.status_code == 403


def test_a_page_of_our_own_may_ask(open_: Running) -> None:
    own = {"origin": open_.url, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    assert httpx2.get(f"{open_.url}/api/v1/plugins", headers=own).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8420", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[::]", "",
     "localhost@evil.example", "evil.example#localhost", "localhost:80:80"],
)  # fmt: skip
def test_another_name_of_loopback_is_not_served(open_: Running, host: str) -> None:
    assert httpx2.get(f"{open_.url}/api/v1/plugins", headers={"host": host}).status_code == 400
    assert httpx2.post(f"{open_.http}/v1/traces", headers={**PROTOBUF, "host": host}).status_code == 400


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8420", "localhost.", "localhost.:80", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8420"],
)
def test_the_names_of_this_machine_are_known_with_and_without_a_port(host: str) -> None:
    assert host_name(host) in LOCAL_NAMES
    assert outsider([(b"host", host.encode())]) is None


def test_two_hosts_are_no_host() -> None:
    twice = [(b"host", b"localhost"), (b"host", b"localhost")]
    assert wrong_host(twice, LOCAL_NAMES) == "localhost, localhost"
    assert outsider(twice) is not None
    assert outsider([]) is not None


def test_a_client_that_speaks_for_somebody_else_says_so(open_: Running) -> None:
    with CollectorClient(open_.url, via="1.1 test") as client, pytest.raises(ApiError) as refused:
        client.get("status")
    assert refused.value.status == 401


def export(collector: Running, metadata: tuple[tuple[str, str], ...]) -> grpc.StatusCode:
    with grpc.insecure_channel(collector.grpc) as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export", None, None)
        try:
            call(b"", metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        return grpc.StatusCode.OK


def test_a_file_of_tokens_is_enough(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"viewer read {TOKEN}\n")
    with running(tmp_path / "data", PLUGWARDEN_TOKENS_FILE=str(tmp_path / "tokens")) as collector:
        headers = {"x-forwarded-for": "203.0.113.7"}
        assert httpx2.get(f"{collector.url}/api/v1/plugins", headers=headers).status_code == 401
        headers["authorization"] = f"Bearer {TOKEN}"
        assert httpx2.get(f"{collector.url}/api/v1/plugins", headers=headers).status_code == 200
