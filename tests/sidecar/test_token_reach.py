"""The collector's token goes to the collector: to no other endpoint, and to no program that is a plugin."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from plugwarden import ConfigurationError, Sidecar
from plugwarden.integrations.command import command
from plugwarden.pipeline.outlet import OtlpOutlet
from plugwarden.pipeline.send.variables import read_target
from plugwarden.settings import Settings
from plugwarden.token_reach import carries_token, without_tokens

TOKEN = "0123456789abcdef"


@contextmanager
def receiver() -> Iterator[tuple[str, list[str | None]]]:
    """An OTLP endpoint, and the Authorization headers that it was shown."""
    shown: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            shown.append(self.headers.get("authorization"))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", shown
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("collector_url", "expected"),
    [("http://localhost:8420", f"Bearer {TOKEN}"), ("http://collector.example:8420", None), (None, None)],
)
def test_an_endpoint_elsewhere_is_never_shown_the_token(
    collector_url: str | None, expected: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver() as (url, shown), caplog.at_level(logging.WARNING):
        outlet = OtlpOutlet(Settings(token=TOKEN, endpoint=url, collector_url=collector_url), Resource({}))
        for signal in ("spans", "metrics", "logs"):
            outlet.send(signal, b"")
        outlet.shutdown()
    assert shown == [expected] * 3
    assert TOKEN not in caplog.text
    assert ("the token is not sent" in caplog.text) is (expected is None)


def test_an_endpoint_of_one_signal_is_looked_at_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as (url, shown):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{url}/v1/logs")
        outlet = OtlpOutlet(Settings(token=TOKEN, collector_url="http://collector.example:8420"), Resource({}))
        outlet.send("logs", b"")
        outlet.shutdown()
    assert shown == [None]


@pytest.mark.parametrize(
    ("endpoint", "collector_url", "carries"),
    [
        ("http://collector:4318", "http://collector:8420", True), ("collector:4317", "http://collector:8420", True),
        ("http://Collector.:4318", "http://collector:8420", True), ("http://[::1]:4318", "http://127.0.0.1:8420", True),
        ("http://localhost:4318", "https://127.0.0.1:8420", True), ("https://c.example/otlp", "https://c.example", True),
        ("http://c.example:4318", "https://c.example", False), ("c.example:4317", "https://c.example", False),
        ("http://collector.evil.example:4318", "http://collector:8420", False),
        ("http://collector@evil.example", "http://collector", False),
        ("http://evil.example/collector", "http://collector", False), ("http://collector:4318", None, False),
        ("", "http://collector", False),
        ("http://[", "http://collector", False), ("unix:/run/otlp.sock", "http://collector", False),
    ],
)  # fmt: skip
def test_which_endpoints_are_the_collectors(endpoint: str, collector_url: str | None, carries: bool) -> None:
    assert carries_token(endpoint, collector_url) is carries


def test_the_endpoint_is_found_as_opentelemetry_finds_it() -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b"}
    assert read_target(Settings(), "spans", env).address == "http://b"
    assert read_target(Settings(), "logs", env).address == "http://a"
    assert read_target(Settings(endpoint="http://c"), "spans", env).address == "http://c"
    assert read_target(Settings(protocol="grpc"), "spans", {}).address == "localhost:4317"


TOKENS = {
    "PLUGWARDEN_TOKEN": TOKEN,
    "PLUGWARDEN_TOKEN_FILE": "/x",
    "PLUGWARDEN_TOKENS_FILE": "/x",
    "PLUGWARDEN_INGEST_TOKEN": TOKEN,
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {TOKEN}",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x",
}


def test_a_program_that_is_a_plugin_inherits_no_token(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TOKENS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KEPT", "yes")
    code = f"import os; print(sorted(set(os.environ) & {set(TOKENS)}), os.environ['KEPT'])"
    run = command(sidecar, [sys.executable, "-c", code], plugin="p", version="1")
    assert run().stdout.decode().strip() == "[] yes"
    given = command(
        sidecar, [sys.executable, "-c", code], plugin="p", version="2", environment={**TOKENS, "KEPT": "own"}
    )
    assert given().stdout.decode().strip() == "[] own"
    assert without_tokens({**TOKENS, "PLUGWARDEN_STATE_DIR": "/s"}) == {"PLUGWARDEN_STATE_DIR": "/s"}


def test_a_worker_process_inherits_no_token_though_it_asks_for_it(monkeypatch: pytest.MonkeyPatch, outbox: Any) -> None:
    from plugwarden.touches import Touches

    from tests.sidecar.support.worker_plugins import environment

    monkeypatch.setenv("PLUGWARDEN_TOKEN", TOKEN)
    monkeypatch.setenv("KEPT", "yes")
    sidecar = Sidecar(service="t")
    with pytest.raises(ConfigurationError, match="PLUGWARDEN_TOKEN holds the host's own token"):
        Touches(environment=("PLUGWARDEN_TOKEN", "KEPT"))
    touches = Touches(environment=("KEPT",))
    names = sidecar.wrap(environment, plugin="p", version="1", runner="process", touches=touches)()
    sidecar.close(5)
    assert "KEPT" in names
    assert "PLUGWARDEN_TOKEN" not in names


def test_a_token_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o600)
    assert Settings.load({"PLUGWARDEN_TOKEN_FILE": str(tmp_path / "token")}).token == TOKEN
