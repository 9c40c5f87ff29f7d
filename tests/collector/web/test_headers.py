"""What a browser is told to do with an answer: on all of them, whatever went wrong."""

from __future__ import annotations

import httpx2
import pytest

from tests.collector.conftest import Running, running

TOLD = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/plugins", 200), ("GET", "/api/v1/plugins/nosuch", 404), ("GET", "/nowhere", 404),
        ("DELETE", "/api/v1/plugins", 405), ("POST", "/api/v1/query", 422), ("GET", "/api/v1/plugins?since=x", 422),
        ("GET", "/metrics", 200), ("GET", "/livez", 200), ("GET", "/openapi.json", 200), ("GET", "/api/v1/backup", 200),
    ],
)  # fmt: skip
def test_every_answer_of_the_api_has_them(shared: Running, method: str, path: str, status: int) -> None:
    answer = httpx2.request(method, f"{shared.url}{path}")
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in TOLD} == TOLD
    assert "server" not in answer.headers


def test_a_stranger_and_a_sender_are_told_as_well(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with running(tmp_path / "data", token="a-token-of-some-length") as locked:
        refused = httpx2.get(f"{locked.url}/api/v1/plugins")
        sent = httpx2.post(f"{locked.http}/v1/traces", headers={"content-type": "application/x-protobuf"})
    assert (refused.status_code, sent.status_code) == (401, 401)
    for answer in (refused, sent):
        assert {name: answer.headers.get(name) for name in TOLD} == TOLD
        assert answer.headers["www-authenticate"] == "Bearer"


def test_streams_have_them_once(shared: Running) -> None:
    answer = httpx2.post(
        f"{shared.url}/api/v1/query",
        json={"sql": "select 1"},
        headers={"accept": "application/vnd.apache.arrow.stream"},
    )
    assert answer.status_code == 200
    assert {name: answer.headers.get_list(name) for name in TOLD} == {name: [value] for name, value in TOLD.items()}
    with httpx2.stream("GET", f"{shared.url}/api/v1/directives/stream") as stream:
        assert stream.status_code == 200
        assert {name: stream.headers.get_list(name) for name in TOLD} == {name: [value] for name, value in TOLD.items()}
