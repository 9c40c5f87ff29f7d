"""A collector that does not let a sidecar in is told of in one line that says what to set, and never in the token's own words."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import grpc
import pytest
from plugwarden import Sidecar
from plugwarden.contract import DirectiveSet

from tests.sidecar.support.listener import Listener, collector
from tests.sidecar.support.otlp_receiver import Receiver

TOKEN = "a-secret-of-ours"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def until(condition: Callable[[], Any], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(condition())


def said(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    found = [record for record in caplog.records if record.name == "plugwarden.admittance" and record.levelno == level]
    assert TOKEN not in caplog.text
    return [record.getMessage() for record in found]


def calls_sent_to(address: str, **settings: Any) -> Sidecar:
    """A sidecar that has something to send, and has tried."""
    sidecar = Sidecar(service="x", endpoint=address, export_interval_seconds=0.1, trace_ratio=1.0, **settings)
    sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="x")()
    assert not sidecar.flush(0.5)
    return sidecar


def test_each_change_of_whether_telemetry_is_let_in_is_said_once(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    receiver.status = 401
    sidecar = calls_sent_to(receiver.url, token=TOKEN, collector_url=receiver.url)
    assert not sidecar.flush(1.0)  # some more tries, of all signals
    (first,) = [line for line in said(caplog) if "telemetry" in line]
    assert "PLUGWARDEN_TOKEN or PLUGWARDEN_TOKEN_FILE" in first
    assert receiver.url.removeprefix("http://") in first
    receiver.status = 200
    assert until(lambda: sidecar.flush(1.0))
    assert receiver.by_operation["p", "x"] == 1  # it was kept
    (again,) = [line for line in said(caplog, logging.INFO) if "telemetry" in line]
    assert "again" in again
    receiver.status = 403
    sidecar.wrap(lambda: "ran", plugin="p", version="1", operation="x")()
    assert not sidecar.flush(0.5)
    assert len([line for line in said(caplog) if "telemetry" in line]) == 2
    receiver.status = 200
    sidecar.close(5)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_other_answers_say_nothing_of_a_token(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    receiver.status = status
    calls_sent_to(receiver.url, token=TOKEN, collector_url=receiver.url).close(0.1)
    assert [line for line in said(caplog) if "telemetry" in line] == []


@pytest.mark.parametrize(
    ("environ", "settings", "wanted"),
    [
        ({}, {}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({}, {"collector_url": "http://127.0.0.1:9"}, "PLUGWARDEN_TOKEN or PLUGWARDEN_TOKEN_FILE"),
        ({}, {"token": TOKEN}, "PLUGWARDEN_COLLECTOR_URL"),
        ({}, {"token": TOKEN, "collector_url": "http://elsewhere.example:9"}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}"}, {}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({"OTEL_EXPORTER_OTLP_METRICS_HEADERS": f"x-key={TOKEN}"}, {}, "OTEL_EXPORTER_OTLP_METRICS_HEADERS"),
    ],
)
def test_it_names_the_variable_that_the_credential_comes_from(
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    settings: dict[str, str],
    wanted: str,
) -> None:
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    receiver.status = 401
    calls_sent_to(receiver.url, **settings).close(0.1)
    assert any(wanted in line for line in said(caplog) if "telemetry" in line), caplog.text


def test_a_request_that_leaves_by_a_proxy_is_told_of_too(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", receiver.url)
    monkeypatch.setenv("no_proxy", "")
    receiver.status = 403
    calls_sent_to("http://collector.invalid:4318").close(0.1)
    assert [line for line in said(caplog) if "collector.invalid:4318" in line] != []


@contextmanager
def grpc_server(code: grpc.StatusCode) -> Iterator[str]:
    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, "no")

    class All(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(ThreadPoolExecutor(2), handlers=(All(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(0).wait(5)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
def test_grpc_has_its_own_words_for_it(caplog: pytest.LogCaptureFixture, code: grpc.StatusCode) -> None:
    with grpc_server(code) as address:
        calls_sent_to(address, protocol="grpc", token=TOKEN, collector_url=address).close(0.1)
    assert len([line for line in said(caplog) if "telemetry" in line and "PLUGWARDEN_TOKEN" in line]) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_each_change_of_whether_directives_are_told_is_said_once(caplog: pytest.LogCaptureFixture, status: int) -> None:
    caplog.set_level(logging.INFO)
    answers: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        answers.append(204 if len(answers) == 3 else status)
        handler.send_response(answers[-1])
        handler.send_header("content-length", "0")
        handler.end_headers()

    with collector(answer) as url:
        listener = Listener(url, DirectiveSet("e", 1, ()))
        assert listener.until(lambda: len(said(caplog)) == 2, 20)
    assert "directives" in said(caplog)[0]
    assert "PLUGWARDEN_TOKEN or PLUGWARDEN_TOKEN_FILE" in said(caplog)[0]
    assert len(said(caplog, logging.INFO)) == 1
    assert len(answers) >= 5  # five answers and more, three changes
    assert set(listener.troubles) == {"denied"}


def test_what_a_hosts_own_logging_raises_is_not_ours_to_die_of(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError("a filter of the host's")

    logger = logging.getLogger("plugwarden.admittance")
    monkeypatch.setattr(logger, "filters", [broken])
    receiver.status = 401
    sidecar = calls_sent_to(receiver.url)
    receiver.status = 200
    assert until(lambda: sidecar.flush(1.0))
    assert receiver.by_operation["p", "x"] == 1
    sidecar.close(5)
