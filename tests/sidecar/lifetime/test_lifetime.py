"""The life of a host's process: what starting, forking and ending with us does to it."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from plugwarden import Sidecar
from plugwarden.pipeline.send import Verdict, plain
from plugwarden.pipeline.send.variables import read_target
from plugwarden.settings import Settings


class Receiver:
    """An OTLP/HTTP server that keeps the names of the metrics it is sent."""

    def __init__(self) -> None:
        self.metrics: list[list[str]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path.endswith("/metrics"):
                    request = ExportMetricsServiceRequest.FromString(body)
                    scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
                    receiver.metrics.append([metric.name for scope in scopes for metric in scope.metrics])
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def run(code: str, *arguments: str, timeout: float = 60, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PLUGWARDEN_"))}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**clean, **environ},
        check=False,
    )


QUIET = """
import logging, sys, time, warnings
from plugwarden import Sidecar
asked = {"collector_url": sys.argv[1], "state_dir": sys.argv[2]} if sys.argv[2:] else {}
sidecar = Sidecar(service="x", endpoint=sys.argv[1], export_interval_seconds=0.1, **asked)
def fail():
    logging.getLogger("host").error("no")
    raise ValueError
logging.getLogger("host").addHandler(sidecar.log_handler())
call = sidecar.wrap(fail, plugin="p", version="1", operation="x", breaker=False)
def seen(): return set(sys.modules), set(logging.root.manager.loggerDict), list(warnings.filters)
before = seen()
for _ in range(100):
    try: call()
    except ValueError: pass
time.sleep(0.6)
sidecar.close(1)
for now, then in zip(seen(), before): assert now == then, set(now) ^ set(then)
"""


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("asks", [True, False])
def test_nothing_is_imported_logged_or_warned_of_once_it_runs(
    receiver: Receiver, tmp_path: Any, protocol: str, there: bool, asks: bool
) -> None:
    url = receiver.url if there else "http://127.0.0.1:1"
    code = QUIET if protocol == "http/protobuf" else "import warnings; warnings.simplefilter('default')\n" + QUIET
    more = [str(tmp_path)] if asks else []  # what asks a collector loads more, which may hide that the sending needs it
    done = run(code, url, *more, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    assert done.returncode == 0, done.stderr


FORKS = (Path(__file__).parents[1] / "support/fork_host.py").read_text("utf-8")


def test_a_child_forked_at_any_moment_runs_and_sends(receiver: Receiver) -> None:
    # benchmarks/forks.py makes a thousand, the first one of a fresh process each time.
    for seed in range(2):
        assert run(FORKS, "15", receiver.url, str(seed)).returncode == 0


def test_the_end_says_goodbye_once_the_hosts_own_threads_have_ended(receiver: Receiver) -> None:
    code = """
import sys, threading, time
from plugwarden import Sidecar
call = Sidecar(service="x", endpoint=sys.argv[1]).wrap(lambda: 1, plugin="p", version="1", operation="x")
def late():
    time.sleep(0.3)
    call()
threading.Thread(target=late).start()
"""
    assert run(code, receiver.url).returncode == 0
    assert "plugin.invocation.duration" in {name for names in receiver.metrics for name in names}
    assert "plugin.host.ending" in receiver.metrics[-1]


def test_a_process_that_calls_nothing_sends_nothing_at_its_end(receiver: Receiver) -> None:
    code = """
import atexit, sys, threading
seen = lambda: (len(sys.modules), threading.active_count())
# What is registered first is called last.
atexit.register(lambda: print(before == seen()))
from plugwarden import Sidecar
call = Sidecar(service="x", endpoint=sys.argv[1]).wrap(lambda: 1, plugin="p", version="1", operation="x")
before = seen()
"""
    done = run(code, receiver.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True"
    assert not receiver.metrics


def test_many_sidecars_share_one_deadline_at_the_end() -> None:
    code = """
import atexit, sys, time
began = []
# What is registered first is called last.
atexit.register(lambda: print(time.monotonic() - began[0]))
from plugwarden import Sidecar
kept = [Sidecar(service="x", endpoint="http://127.0.0.1:1", exit_seconds=0.4) for _ in range(20)]
for sidecar in kept: sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")()
began.append(time.monotonic())
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    # Twenty deadlines, one after the other, would be 8 s.
    assert float(done.stdout) < 4


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"}, {"service": "shop"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop", "OTEL_SERVICE_NAME": "till"}, {"service": "till"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-7"}, {"instance_id": "pod-7"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "host.name=h7"}, {"host_name": "h7"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod"}, {"environment": "prod"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "team=a%2Cb,broken,=x,k="}, {"resource": {"team": "a,b"}}),
        ({"OTEL_SDK_DISABLED": "true"}, {"disabled": True}),
        ({"OTEL_SDK_DISABLED": "1"}, {"disabled": False}),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, {"protocol": "http/json"}),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"}, {"protocol": "http/protobuf"}),
        ({"PLUGWARDEN_TRACE_RATIO": "10%"}, {"trace_ratio": 0.1}),
    ],
)
def test_the_environment_means_what_the_specification_says(environ: dict[str, str], wanted: dict[str, Any]) -> None:
    settings = Settings.load(environ)
    assert {name: getattr(settings, name) for name in wanted} == wanted


def test_a_signals_own_variables_win_over_those_for_all() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:4318/",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://spans/own",
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": "X-Key=a%20b",
    }
    settings = Settings.load(environ)
    assert read_target(settings, "spans", environ).url == "https://spans/own"
    assert read_target(settings, "logs", environ).url == "http://all:4318/v1/logs"
    assert read_target(settings, "logs", environ).headers == {"x-key": "a b"}
    assert read_target(settings, "metrics", environ).protocol == "grpc"


SILENT = """
import logging, os, sys, threading, time
from opentelemetry.sdk.trace import TracerProvider
from plugwarden import Sidecar
sidecar = Sidecar(service="x", endpoint=sys.argv[1], export_interval_seconds=0.1, disabled=sys.argv[2] == "disabled")
other = Sidecar(service="other", endpoint="http://127.0.0.1:9")
host = TracerProvider()
host.add_span_processor(sidecar.span_processor())
log = logging.getLogger("host")
log.addHandler(sidecar.log_handler())
call = sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")
if sys.argv[2] != "disabled":
    call()
    assert sidecar.close()
print("closed", flush=True)
def ours():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("plugwarden-")]
before = ours()
def use():
    for _ in range(200):
        with host.get_tracer("host").start_as_current_span("request"):
            call()
    with other.invocation("q", version="1", operation="y"):
        log.error("no")
    started = set(ours()) - set(before)
    time.sleep(0.3)
    sidecar.flush(0.1)
    return started
use()
pid = os.fork()
if pid == 0:
    before = ours()
    os._exit(0 if len(use()) <= 2 else 7)  # the other's two
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


@pytest.mark.parametrize("how", ["disabled", "closed"])
def test_a_sidecar_that_is_disabled_or_closed_sends_nothing_here_or_in_a_child(receiver: Receiver, how: str) -> None:
    seen: list[str] = []
    handle = receiver.server.RequestHandlerClass.do_POST  # type: ignore[attr-defined]

    def count(handler: Any) -> None:
        seen.append(handler.path)
        handle(handler)

    receiver.server.RequestHandlerClass.do_POST = count  # type: ignore[attr-defined]
    done = run(SILENT, receiver.url, how)
    assert done.returncode == 0, done.stderr
    allowed = 0 if how == "disabled" else 3  # what `close` sent: the count, the call's span, and its goodbye
    assert len(seen) <= allowed, seen


FALLBACK = """
import os, signal, threading
from plugwarden import Fallback, Sidecar
sidecar = Sidecar(service="x", endpoint="http://127.0.0.1:9")
entered, leave = threading.Event(), threading.Event()
def instead(waits):
    if waits:
        entered.set()
        leave.wait()
    return "instead"
def fail(waits):
    raise ValueError
call = sidecar.wrap(fail, plugin="p", version="1", operation="x", breaker=False, fallback=Fallback(instead, concurrent=1))
thread = threading.Thread(target=call, args=(True,))
thread.start()
entered.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    os._exit(0 if call(False) == "instead" else 7)
status = os.waitpid(pid, 0)[1]
leave.set()
thread.join()
assert status == 0, status
"""


def test_places_of_a_fallback_that_the_parents_threads_hold_are_free_in_a_child() -> None:
    done = run(FALLBACK)
    assert done.returncode == 0, done.stderr


def test_what_keeps_telemetry_from_being_sent_is_said_once_and_names_the_file(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    missing = tmp_path / "authority.pem"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(missing))
    sidecar = Sidecar(service="x")
    for _ in range(5):
        with sidecar.invocation("p", version="1", operation="x"):
            pass
    sidecar.close(0.1)
    (said,) = [record.getMessage() for record in caplog.records if "cannot be sent" in record.getMessage()]
    assert str(missing) in said


def test_a_host_without_room_for_a_thread_loses_no_call_and_is_refused_none(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar = Sidecar(service="x", endpoint=receiver.url)
    call = sidecar.wrap(len, plugin="p", version="1", operation="x", criticality="security")
    start, room = threading.Thread.start, 0

    def starts(thread: threading.Thread) -> None:
        nonlocal room
        if thread.name.startswith("plugwarden-"):
            if not room:
                raise RuntimeError("can't start new thread")
            room -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starts)
    assert [call("ab") for _ in range(100)] == [2] * 100
    room = 1
    assert [call("ab") for _ in range(100)] == [2] * 100
    room = 9
    assert [call("ab") for _ in range(100)] == [2] * 100
    ours = [thread.name for thread in sidecar._pipeline._threads]
    assert sorted(ours) == ["plugwarden-drain", "plugwarden-export"]
    assert sidecar.flush()
    totals = sidecar._pipeline.totals()
    assert sum(cell.count for cell in totals.values()) == 300
    assert sidecar.close()


def test_a_collector_that_answers_a_letter_at_a_time_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, answers = threading.Event(), [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "]

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            for answer in answers:
                connection.recv(65_536)
                connection.sendall(answer)
            while not ended.wait(0.05):
                try:
                    connection.sendall(b"a")
                except OSError:
                    return

    monkeypatch.setattr(plain, "REQUEST_TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        target = read_target(Settings(endpoint=f"http://127.0.0.1:{server.getsockname()[1]}"), "spans", {})
        sender, verdicts = plain.PlainSender(target), []
        asking = threading.Thread(target=lambda: verdicts.extend(sender.send(b"x") for _ in range(2)), daemon=True)
        asking.start()
        asking.join(15)
        ended.set()
    assert verdicts == [Verdict.TAKEN, Verdict.RETRY]
