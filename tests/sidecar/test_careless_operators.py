"""Whoever sets up a host makes mistakes: the host runs, and is told which variable is wrong."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from plugwarden import CallNotPermitted, ConfigurationError, PluginQuarantined, Sidecar
from plugwarden.contract import Action, Directive, DirectiveSet, RejectionReason, Scope
from plugwarden.pipeline.send.variables import read_target
from plugwarden.settings import Settings
from plugwarden.sidecar import MAX_BLOCKS

from tests.sidecar.support import worker_plugins as plugins

BAD_ADDRESSES = [
    "http://[::1",
    "http://127.0.0.1:port",
    "http://127.0.0.1:99999",
    "http://",
    "http://a b/",
    "http://a\n/",
]
BAD_TOKENS = ["two\nlines", "t\u00f6ken", "a b", "t\udcff", "t\x00"]


@pytest.fixture
def asked() -> Iterator[tuple[str, list[dict[str, list[str]]], threading.Event]]:
    """A collector that has no directives; its address, and what it was asked for."""
    seen: list[dict[str, list[str]]] = []
    first = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(parse_qs(urlsplit(self.path).query))
            first.set()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen, first
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_that_is_none_is_named_and_the_host_runs(
    address: str, caplog: Any, monkeypatch: Any, outbox: Any
) -> None:
    monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", address)
    with caplog.at_level(logging.WARNING):
        sidecar = Sidecar(service="test")
    assert sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="o")() == "ran"
    sidecar.close(1)
    assert "PLUGWARDEN_COLLECTOR_URL is left out: collector_url:" in caplog.text
    with pytest.raises(ConfigurationError, match="collector_url"):
        Sidecar(service="test", collector_url=address)


def test_an_address_may_be_written_in_capitals() -> None:
    assert (
        Settings.load({"PLUGWARDEN_COLLECTOR_URL": "HTTP://Collector:8420/"}).collector_url == "HTTP://Collector:8420"
    )


@pytest.mark.parametrize("token", BAD_TOKENS)
def test_a_token_that_no_request_can_carry_is_named_and_not_shown(token: str, caplog: Any, tmp_path: Path) -> None:
    with caplog.at_level(logging.WARNING):
        assert Settings.load({"PLUGWARDEN_TOKEN": token}).token is None
    assert "PLUGWARDEN_TOKEN is left out: token:" in caplog.text
    assert token not in caplog.text
    with pytest.raises(ConfigurationError, match="token") as raised:
        Settings.load({}, token=token)
    assert token not in str(raised.value)


def test_a_token_file_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[BaseException] = []

    def load() -> None:
        try:
            Settings.load({"PLUGWARDEN_TOKEN_FILE": str(pipe)})
        except ConfigurationError as error:
            found.append(error)

    reading = threading.Thread(target=load, daemon=True)
    reading.start()
    reading.join(10)
    if reading.is_alive():
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))  # let go of it
    assert found
    assert "PLUGWARDEN_TOKEN_FILE" in str(found[0])


def test_a_token_file_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x" * 1_000_000)
    with pytest.raises(ConfigurationError, match="PLUGWARDEN_TOKEN_FILE"):
        Settings.load({"PLUGWARDEN_TOKEN_FILE": str(tmp_path / "token")})


def test_names_in_another_encoding_hold_up_no_directives(
    asked: tuple[str, list[dict[str, list[str]]], threading.Event], outbox: Any, monkeypatch: Any
) -> None:
    address, seen, first = asked
    monkeypatch.setenv("OTEL_SERVICE_NAME", "caf\udce9")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=caf\udce9")
    sidecar = Sidecar(collector_url=address)
    assert sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="o")() == "ran"
    assert first.wait(10), "it never asked for directives"
    assert sidecar.close(5)
    assert seen[0]["service"] == ["caf?"]
    assert sidecar.settings.resource == {"team": "caf?"}


def test_headers_that_no_request_can_carry_are_named_and_the_others_sent(caplog: Any) -> None:
    given = {"OTEL_EXPORTER_OTLP_HEADERS": "good=1,bad=a%0d%0ab,b%20c=2,wide=%E2%82%AC"}
    with caplog.at_level(logging.WARNING):
        target = read_target(Settings.load({}), "spans", given)
    assert target.headers == {"good": "1"}
    for name in ("bad", "b c", "wide"):
        assert f"OTEL_EXPORTER_OTLP_HEADERS: {name!r} is left out" in caplog.text


def test_a_call_whose_worker_the_system_has_no_room_for_is_rejected(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = sidecar.wrap(plugins.large, plugin="p", version="1", runner="process", timeout=20.0)
    held: list[int] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(CallNotPermitted, match="could not be started") as caught:
            wrapped(10)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.reason is RejectionReason.CAPACITY
    assert len(wrapped(10)) == 10
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="rejected", plugin_error_source="host", error_type="capacity") == 1
    assert outbox.calls(plugin_outcome="error") == 0


def test_a_host_without_room_for_a_thread_runs_under_its_directives(
    asked: tuple[str, list[dict[str, list[str]]], threading.Event], outbox: Any, monkeypatch: Any
) -> None:
    def full(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    sidecar = Sidecar(service="test", collector_url=asked[0])
    with monkeypatch.context() as patch:
        patch.setattr(threading, "_start_new_thread", full)
        wrapped = sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="o")
        assert wrapped() == "ran"
        isolated = Directive("q", Action.ISOLATE, Scope("p"))
        sidecar._apply(DirectiveSet("e", 1, (isolated,)))
        for _ in range(3):
            with pytest.raises(PluginQuarantined):
                wrapped()
    with pytest.raises(PluginQuarantined):  # now there is room
        wrapped()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="rejected") == 4
    assert outbox.calls(plugin_outcome="success") == 1
    sidecar.wrap(lambda: "ran", plugin="q", version="1", operation="o")
    assert asked[2].wait(10), "it never asked for directives"
    sidecar.close(5)


def test_blocks_named_after_data_fill_nothing_and_every_call_counts(sidecar: Sidecar, outbox: Any, caplog: Any) -> None:
    for number in range(2 * MAX_BLOCKS):
        with sidecar.invocation("jobs", version="1", operation=f"job-{number}"):
            pass
    for number in range(2 * MAX_BLOCKS):
        with sidecar.invocation(f"tenant-{number}", version="1", operation="run"):
            pass
    with sidecar.invocation("jobs", version="1", operation="job-7"):
        pass
    assert len(sidecar.operations) <= 2 * MAX_BLOCKS + 1
    assert sidecar.flush(30)
    assert outbox.calls() == 4 * MAX_BLOCKS + 1
    assert outbox.calls(plugin_operation="job-7") == 2
    assert outbox.calls(plugin_id="jobs", plugin_operation="_OTHER") == MAX_BLOCKS
    assert [record.message for record in caplog.records if "_OTHER" in record.message] != []
