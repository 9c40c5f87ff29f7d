"""The names the dashboards serve, and to whom they lend their token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plugwarden_dashboards.door import names_of

from tests.collector.conftest import Running, running

from .served import Served, served

TOKEN = "the-dashboards-own-token-0123456789"
PATHS = [
    "/",
    "/quarantine",
    "/readyz",
    "/favicon.png",
    "/_stcore/health",
    "/_stcore/host-config",
    "/media/x",
    "/auth/login",
]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("door") / "data", token=TOKEN) as found:
        yield found


@pytest.fixture(scope="module")
def local(collector: Running) -> Iterator[Served]:
    """As they start by default: on loopback, with a token of their own."""
    with served(collector.url, environ=[("PLUGWARDEN_TOKEN", TOKEN)]) as found:
        yield found


@pytest.fixture(scope="module")
def proxied(collector: Running) -> Iterator[Served]:
    """As they start behind a proxy, which is told by the name it has outside."""
    names = ["--host-name", "plugwarden.example"]
    with served(collector.url, *names, environ=[("PLUGWARDEN_TOKEN", TOKEN)]) as found:
        yield found


def test_a_person_at_this_machine_sees_the_pages(local: Served) -> None:
    shown = local.read("")
    assert "policy: observe" in shown
    assert "Sign in" not in shown
    assert "policy: observe" in local.read("", host=f"localhost:{local.port}")


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "0.0.0.0", "plugwarden.example"])
def test_a_page_at_another_name_of_loopback_gets_nothing(local: Served, name: str) -> None:
    """DNS rebinding: the page is same-origin with itself, and its requests arrive here."""
    host = f"{name}:{local.port}"
    for path in PATHS:
        answer = local.get(path, host=host)
        assert answer.status_code == 400, path
        assert "--host-name" in answer.text
    assert local.status_of_stream(host=host) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:9999", "null", "http://127.0.0.1"])
def test_a_page_elsewhere_opens_no_stream(local: Served, origin: str) -> None:
    assert local.status_of_stream(origin=origin) == 403
    assert local.get("/_stcore/host-config", origin=origin).status_code == 403


def test_a_page_elsewhere_embeds_and_fetches_nothing_but_may_link_here(local: Served) -> None:
    fetched = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}
    framed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert [local.get("/", **headers).status_code for headers in (fetched, framed, followed)] == [403, 403, 200]


@pytest.mark.parametrize(
    "path", ["/_stcore/agent/openapi.json", "/_stcore/agent/mcp", "/_stcore/metrics", "/_stcore/upload_file/a/b"]
)
def test_what_no_page_uses_is_shut(local: Served, path: str) -> None:
    assert local.get(path).status_code == 404


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
def test_who_comes_through_a_proxy_brings_a_token(local: Served, header: str) -> None:
    shown = local.read("audit", **{header: "203.0.113.7"})
    assert "Sign in" in shown
    assert "policy" not in shown
    assert "Decision log" not in shown


def test_once_they_are_told_a_name_everybody_brings_a_token(proxied: Served) -> None:
    assert proxied.get("/", host="plugwarden.example").status_code == 200
    assert proxied.get("/", host="evil.example").status_code == 400
    for host, origin in (
        ("plugwarden.example", "https://plugwarden.example"),
        (proxied.host, f"http://{proxied.host}"),  # a proxy that hides itself looks like this
    ):
        shown = proxied.read("audit", host=host, origin=origin)
        assert "Sign in" in shown
        assert "Decision log" not in shown
    assert proxied.status_of_stream(origin="https://plugwarden.example") == 403  # it did not pass Host on


@pytest.mark.parametrize("name", ["*.example.org", "http://a.example", "a.example:80", "a b", "a/b", ""])
def test_what_is_no_name_of_a_host_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name of a host"):
        names_of("127.0.0.1", [name])


def test_the_address_itself_is_a_name_unless_it_stands_for_all() -> None:
    always = {"127.0.0.1", "localhost", "[::1]"}
    assert names_of("", []) == names_of("127.0.0.1", []) == names_of("0.0.0.0", []) == names_of("[::]", []) == always
    assert names_of("192.0.2.7", []) == always | {"192.0.2.7"}
    assert names_of("[2001:db8::7]", ["Plugwarden.Example."]) == always | {"[2001:db8::7]", "plugwarden.example"}


def test_a_collector_without_tokens_takes_nobody_elses_visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from plugwarden_collector.api.client import ApiError
    from plugwarden_dashboards import visitor

    with running(tmp_path / "data") as collector:
        monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", collector.url)
        monkeypatch.setenv(visitor.LOGIN, "required")
        with pytest.raises(ApiError, match="PLUGWARDEN_TOKEN"):
            visitor.name_of_token("anything at all")
