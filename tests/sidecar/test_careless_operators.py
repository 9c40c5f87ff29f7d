"""Whoever sets up a host makes mistakes: the host runs, and is told which variable is wrong."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import threading
from collections.abc import Callable, Iterator
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
    found: list[str | None] = []
    reading = threading.Thread(
        target=lambda: found.append(Settings.load({"PLUGWARDEN_TOKEN_FILE": str(pipe)}).token), daemon=True
    )
    reading.start()
    reading.join(10)
    if reading.is_alive():
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))  # let go of it
    assert found == [None]


def a_folder(path: Path) -> None:
    path.mkdir()


def a_file(content: bytes, mode: int = 0o600) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content)
        path.chmod(mode)

    return make


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "No such file"),
        (a_folder, "is no file"),
        (os.mkfifo, "is no file"),
        (a_file(b""), "must hold one token"),
        (a_file(b" \n"), "must hold one token"),
        (a_file(b"secret-one secret-two"), "must hold one token"),
        (a_file(b"secret-" * 100_000), "must hold one token"),
        (a_file(b"secret-\xff"), "utf-8"),
        (a_file("secret-ü".encode()), "visible ASCII"),
        (a_file(b"secret-one", 0o602), "chmod o="),
    ],
)
def test_a_token_file_that_cannot_be_trusted_is_named_and_no_token_sent(
    asked: tuple[str, list[dict[str, list[str]]], threading.Event],
    outbox: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    make: Callable[[Path], None],
    why: str,
) -> None:
    make(tmp_path / "token")
    monkeypatch.setenv("PLUGWARDEN_TOKEN_FILE", str(tmp_path / "token"))
    sidecar = Sidecar(collector_url=asked[0], endpoint=asked[0])
    assert sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="o")() == "ran"
    assert sidecar.settings.token is None
    assert read_target(sidecar.settings, "spans", {}).headers == {}
    sidecar.close(5)
    (line,) = [record.getMessage() for record in caplog.records if "PLUGWARDEN_TOKEN_FILE" in record.getMessage()]
    assert str(tmp_path / "token") in line
    assert why in line
    assert "secret" not in caplog.text


@pytest.mark.parametrize("mode", [0o444, 0o604, 0o644])
def test_a_token_file_that_every_user_may_read_is_taken_and_named(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    a_file(b"secret-one", mode)(tmp_path / "token")  # as Kubernetes and Docker mount a secret
    assert Settings.load({"PLUGWARDEN_TOKEN_FILE": str(tmp_path / "token")}).token == "secret-one"
    (line,) = [record.getMessage() for record in caplog.records]
    assert "every user may read it" in line
    assert "0440" in line
    assert "secret-one" not in line


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_a_token_file_that_its_owner_and_group_read_is_taken(tmp_path: Path, mode: int) -> None:
    a_file(b"secret-one\n", mode)(tmp_path / "mounted")
    (tmp_path / "token").symlink_to("mounted")  # as a mounted secret is
    assert Settings.load({"PLUGWARDEN_TOKEN_FILE": str(tmp_path / "token")}).token == "secret-one"


def test_a_token_file_that_may_not_be_read_disturbs_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    a_file(b"secret-one")(tmp_path / "token")

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root may read all
    token = Settings.load({"PLUGWARDEN_TOKEN_FILE": str(tmp_path / "token")}).token
    monkeypatch.undo()
    assert token is None
    assert "Permission denied" in caplog.text


def said_of(caplog: pytest.LogCaptureFixture, variable: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if variable in record.getMessage()]


@pytest.mark.parametrize(
    ("variable", "protocol"),
    [("OTEL_EXPORTER_OTLP_ENDPOINT", "http/protobuf"), ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http/json")],
)
@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("localhost:4318", "http://localhost:4318"),
        ("collector", "http://collector"),
        ("10.0.0.7:4318/otlp", "http://10.0.0.7:4318/otlp"),
        ("[::1]:4318", "http://[::1]:4318"),
        ("//collector:4318", "http://collector:4318"),
        ("htp://collector:4318", "http:// or https://"),
        ("http://", "http:// or https://"),
        ("http:/collector:4318", "http:// or https://"),
        ("http://collector:port", "Port could not be"),
        ("http://[::1", "Invalid IPv6"),
        ("unix:/run/otlp", "http:// or https://"),
    ],
)
def test_an_endpoint_that_is_no_address_is_said_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variable: str,
    address: str,
    advice: str,
    protocol: str,
) -> None:
    monkeypatch.setenv(variable, address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    sidecar = Sidecar(service="x")
    wrapped = sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="o")
    (line,) = said_of(caplog, variable)  # before anything is called
    assert advice in line
    assert [wrapped() for _ in range(3)] == ["ran"] * 3
    sidecar.close(0.1)
    assert said_of(caplog, variable) == [line]


def test_a_secret_in_an_endpoint_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "user:secret@collector:4318")
    sidecar = Sidecar(service="x")
    sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="o")
    sidecar.close(0.1)
    assert len(said_of(caplog, "OTEL_EXPORTER_OTLP_ENDPOINT")) == 1
    assert "secret" not in caplog.text


def test_a_keyword_that_is_no_address_is_said_too(caplog: pytest.LogCaptureFixture) -> None:
    sidecar = Sidecar(service="x", endpoint="localhost:4318")
    sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="o")
    sidecar.close(0.1)
    assert len(said_of(caplog, "endpoint: 'localhost:4318'")) == 1


@pytest.mark.parametrize(
    ("environ", "secure", "said"),
    [
        ({}, True, True),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "true"}, False, False),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "false"}, True, False),
        ({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/authority.pem"}, True, False),
    ],
)
def test_grpc_takes_a_name_and_a_port_and_says_that_it_will_encrypt(
    caplog: pytest.LogCaptureFixture, environ: dict[str, str], secure: bool, said: bool
) -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", **environ}
    target = read_target(Settings.load(given), "spans", given)
    assert (target.url, target.secure) == ("localhost:4317", secure)
    lines = said_of(caplog, "OTEL_EXPORTER_OTLP_ENDPOINT")
    assert len(lines) == said
    assert all("http://localhost:4317" in line and "OTEL_EXPORTER_OTLP_INSECURE" in line for line in lines)


@pytest.mark.parametrize("address", ["collector:8420", "localhost:8420", "//collector:8420", "collector"])
def test_a_collector_without_a_scheme_is_said_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, outbox: Any, address: str
) -> None:
    monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", address)
    sidecar = Sidecar(service="x")
    assert sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="o")() == "ran"
    sidecar.close(5)
    (line,) = said_of(caplog, "PLUGWARDEN_COLLECTOR_URL")
    assert f"http://{address.removeprefix('//')}" in line


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
