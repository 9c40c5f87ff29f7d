"""Between the call and the collector: nothing counted twice, nothing uncounted, nothing unbounded."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from plugwarden import CallNotPermitted, Sidecar, Value
from plugwarden.contract import Action, BreakerState, Directive, DirectiveSet, Scope
from plugwarden.gate.subscription import DirectiveFile
from plugwarden.pipeline import dispatch as dispatch_module
from plugwarden.pipeline import drain as drain_module
from plugwarden.pipeline import pipeline as pipeline_module
from plugwarden.pipeline.exposition import PluginCollector
from plugwarden.pipeline.outlet import Verdict
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families


def test_a_repeat_has_the_same_bytes_so_that_it_can_be_told(sidecar: Sidecar, outbox: Any) -> None:
    outbox.works = False
    sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")()
    assert not sidecar.flush(timeout=1.5)
    outbox.works = True
    assert sidecar.flush(timeout=5)
    tried = [data for signal, data in outbox.tried if signal == "metrics"]
    assert len(tried) > 1
    assert tried[0] == tried[1]
    assert outbox.calls(plugin_id="csv") == 1


def test_no_count_is_lost_while_nothing_can_be_sent(
    sidecar: Sidecar, outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch_module, "MAX_PENDING_METRICS", 3)
    outbox.works = False
    wrapped = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
    for _ in range(30):
        wrapped()
        sidecar._pipeline.drain.cut(everything=True, heartbeat=False)
    assert len(sidecar._pipeline.dispatch._metrics) <= 3
    outbox.works = True
    assert sidecar.flush(timeout=10)
    assert outbox.calls(plugin_id="csv") == 30


def test_a_full_queue_is_folded_by_the_caller(sidecar: Sidecar, outbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "QUEUE_LIMIT", 10)
    monkeypatch.setattr(drain_module, "DRAIN_SECONDS", 60.0)
    wrapped = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
    for _ in range(500):
        wrapped()
    assert len(sidecar._pipeline.intake.queue) <= 10 + 64  # a caller looks at every 64th call
    assert sidecar.flush(timeout=5)
    assert outbox.calls(plugin_id="csv") == 500


def test_errors_are_kept_whatever_the_ratio(outbox: Any) -> None:
    sidecar = Sidecar(service="t", trace_ratio=0.0)

    def work(fail: bool) -> None:
        if fail:
            raise ValueError

    wrapped = sidecar.wrap(work, plugin="csv", version="1", breaker=False)
    for number in range(100):
        if number % 10 == 0:
            with pytest.raises(ValueError):
                wrapped(True)
        else:
            wrapped(False)
    sidecar.close(timeout=5)
    reasons = [span.attributes["plugin.sample.reason"] for span in outbox.spans_sent]
    assert reasons.count("error") == 10
    assert reasons.count("slow") == 1
    assert len(reasons) == 11
    assert outbox.calls() == 100


def test_what_cannot_be_sent_does_not_hold_up_the_rest(
    sidecar: Sidecar, outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = outbox.send

    def refuse(signal: str, data: bytes) -> Verdict:
        if signal == "spans":
            raise ValueError("no such thing can be sent")
        return send(signal, data)

    monkeypatch.setattr(outbox, "send", refuse)
    sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")()
    assert sidecar.flush(timeout=0.5) is False
    assert outbox.calls(plugin_id="csv") == 1
    while not outbox.named("plugin.telemetry.dropped", plugin_telemetry_drop_reason="export_fault"):
        time.sleep(0.02)  # others are taken meanwhile, so it is its own fault
    (told,) = outbox.named("plugin.telemetry.dropped", plugin_telemetry_drop_reason="export_fault")
    assert (told.attributes["plugin.telemetry.signal"], told.point.as_int) == ("spans", 1)
    assert [sidecar.flush(timeout=5), sidecar.flush(timeout=5)] == [False, True]  # a loss is told once


def test_texts_that_utf8_cannot_say_are_sent_without_it(sidecar: Sidecar, outbox: Any) -> None:
    def fail() -> None:
        trace.get_current_span().set_attribute("file", "\udcff.txt")
        raise OSError("no such file: \udcff")

    with pytest.raises(OSError):
        sidecar.wrap(fail, plugin="csv", version="1", operation="x")()
    assert sidecar.flush(timeout=5)
    assert outbox.spans_sent[0].attributes["file"] == "?.txt"


def test_wrapping_more_while_telemetry_leaves_loses_nothing(sidecar: Sidecar, outbox: Any) -> None:
    for number in range(300):
        sidecar.wrap(lambda: None, plugin=f"p{number}", version="1", operation="x")()
        if number % 10 == 0:
            sidecar._pipeline.drain.cut(everything=True, heartbeat=True)
    assert sidecar.flush(timeout=20)
    assert outbox.calls() == 300


def test_closing_honours_its_timeout_and_may_be_called_twice(sidecar: Sidecar, outbox: Any) -> None:
    outbox.works = False
    sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")()
    started = time.monotonic()
    assert sidecar.close(timeout=0.5) is False
    assert sidecar.close(timeout=0.5) is False
    assert time.monotonic() - started < 10  # not a measurement: it would be forever


def test_directives_survive_a_restart_and_garbage_does_not(tmp_path: Any) -> None:
    kept = DirectiveSet("e", 4, (Directive("q-1", Action.ISOLATE, Scope("csv")),))
    assert DirectiveFile(tmp_path).save(kept)
    restarted = Sidecar(service="t", state_dir=tmp_path, endpoint="http://127.0.0.1:1")
    restarted.wrap(lambda: None, plugin="csv", version="1", operation="x")
    assert next(iter(restarted.operations)).rules[0].share_ratio == 0.0
    (tmp_path / "directives.json").write_text('{"revision": "x"}')
    assert DirectiveFile(tmp_path).load() is None


def test_prometheus_sees_every_call(sidecar: Sidecar) -> None:
    wrapped = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
    for _ in range(25):
        wrapped()
    registry = CollectorRegistry()
    registry.register(sidecar.prometheus())
    assert isinstance(sidecar.prometheus(), PluginCollector)
    families = {item.name: item for item in text_string_to_metric_families(generate_latest(registry).decode())}
    samples = families["plugin_invocation_duration_seconds"].samples
    assert [s.value for s in samples if s.name.endswith("_count")] == [25.0]
    buckets = [s.value for s in samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 25.0


def test_importing_the_sidecar_loads_nothing_heavy() -> None:
    code = (
        "import sys, plugwarden; "
        "s = plugwarden.Sidecar(service='x'); f = s.wrap(lambda: 1, plugin='a', version='1'); "
        "heavy = {'duckdb','pandas','pydantic','streamlit','pyarrow','numpy','grpc','requests','prometheus_client',"
        "'opentelemetry.sdk'} & set(sys.modules); print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_forked_child_counts_for_itself() -> None:
    code = """
import os, sys
from plugwarden import Sidecar, Value
from plugwarden.pipeline import outlet
sent = []
class Box:
    spoolable = False
    def encode_metrics(self, batch, operations, *, gauges): return batch
    def encode_spans(self, kept, offset): return kept
    def encode_logs(self, entries): return entries
    def send(self, signal, data):
        if signal == 'metrics':
            sent.append(sum(cell.count for cell in data.cells.values()))
        return outlet.Verdict.TAKEN
    def shutdown(self): pass
outlet.make_outlet = lambda settings, resource, count_drop: Box()
s = Sidecar(service='x'); f = s.wrap(lambda: None, plugin='a', version='1', operation='x')
for _ in range(7): f()
before = s.settings.instance_id
pid = os.fork()
if pid == 0:
    for _ in range(3): f()
    s.flush(5)
    os._exit(0 if sum(sent) == 3 and s.settings.instance_id != before else 9)
_, status = os.waitpid(pid, 0)
s.close(5)
sys.exit(os.waitstatus_to_exitcode(status) or (0 if sum(sent) == 7 else 8))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_forked_child_asks_for_directives_of_its_own() -> None:
    code = """
import http.server, json, os, sys, threading, time, urllib.parse
from plugwarden import PluginQuarantined, Sidecar
asked = []
class Collector(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        scope = dict(plugin='a', version=None, operation=None, instance=None, tenant=None)
        body = json.dumps(dict(epoch='e', revision=1, directives=[dict(id='q', action='isolate', scope=scope)])).encode()
        if query['after'] != ['0']:
            time.sleep(5)
        self.send_response(200); self.send_header('content-length', str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Collector)
server.daemon_threads = True
s = Sidecar(service='x', endpoint='http://127.0.0.1:9')
f = s.wrap(lambda: 'ran', plugin='a', version='1', operation='x')
pid = os.fork()
if pid:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _, status = os.waitpid(pid, 0)
    os._exit(os.waitstatus_to_exitcode(status))
import dataclasses
s.settings = dataclasses.replace(s.settings, collector_url=f'http://127.0.0.1:{server.server_port}')
for _ in range(100):
    try: f()
    except PluginQuarantined: os._exit(0)
    time.sleep(0.1)
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=False).returncode == 0


def test_what_a_fallback_answers_while_an_interval_is_sent_is_told_with_the_next(
    sidecar: Sidecar, outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ValueError

    call = sidecar.wrap(fail, plugin="p", version="1", operation="x", breaker=False, fallback=Value(1))
    call()
    put = sidecar._pipeline.dispatch.put_metrics

    def slowly(batch: Any) -> None:
        put(batch)
        monkeypatch.undo()
        call()

    monkeypatch.setattr(sidecar._pipeline.dispatch, "put_metrics", slowly)
    assert sidecar.flush()
    assert sidecar.flush()
    assert sum(found.point.as_int for found in outbox.named("plugin.fallbacks")) == 2


def test_an_annotation_that_cannot_be_told_costs_nobody_elses_spans(sidecar: Sidecar, outbox: Any) -> None:
    def odd() -> None:
        span: Any = trace.get_current_span()
        span.add_event("x", timestamp=time.time())
        span.set_attribute(5, object())
        span.set_attribute("large", "y" * 1_000_000)
        span.set_attribute("huge", 10**40)

    sidecar.wrap(odd, plugin="odd", version="1")()
    sidecar.wrap(lambda: None, plugin="good", version="1", operation="x")()
    assert sidecar.flush()
    spans = {span.attributes["plugin.id"]: span for span in outbox.spans_sent}
    assert set(spans) == {"odd", "good"}
    assert len(spans["odd"].attributes["large"]) < 5_000


def test_a_long_failing_call_keeps_its_span_though_its_children_were_let_go(outbox: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("plugwarden.pipeline.sampling.LINGER_SECONDS", 0.0)
    quiet = Sidecar(service="t", trace_ratio=0.0)
    inner = quiet.wrap(lambda: None, plugin="inner", version="1", operation="x")

    def work() -> None:
        inner()
        quiet._pipeline.drain.cut(everything=False, heartbeat=False)
        time.sleep(0.01)
        quiet._pipeline.drain.cut(everything=False, heartbeat=False)
        raise ValueError("late")

    with pytest.raises(ValueError):
        quiet.wrap(work, plugin="outer", version="1")()
    quiet.close(timeout=5)
    assert "outer work" in {span.name for span in outbox.spans_sent}


def test_the_good_calls_before_a_trouble_are_in_an_interval_of_their_own(outbox: Any) -> None:
    with contextlib.closing(Sidecar(service="test", export_interval_seconds=60.0)) as sidecar:
        broken = False

        def run() -> None:
            if broken:
                raise ValueError

        wrapped = sidecar.wrap(run, plugin="csv", version="1", operation="x")
        for _ in range(200):
            wrapped()
        time.sleep(drain_module.TROUBLE_SECONDS + 0.2)
        broken = True
        for _ in range(8):
            with contextlib.suppress(ValueError):
                wrapped()
        wait_for(lambda: outbox.calls(plugin_outcome="error") == 8)
        (good,) = outbox.named("plugin.invocation.duration", plugin_outcome="success")
        (bad,) = outbox.named("plugin.invocation.duration", plugin_outcome="error")
        assert good.point.count == 200
        assert bad.point.start_time_unix_nano >= good.point.time_unix_nano


def test_a_failure_that_no_call_follows_is_told_as_soon_as_one_that_many_do(
    outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, it waited for the next call, or for a second."""
    monkeypatch.setattr(drain_module, "IDLE_SECONDS", 60.0)
    with contextlib.closing(Sidecar(service="test", export_interval_seconds=60.0)) as sidecar:
        broken = False

        def run() -> None:
            if broken:
                raise ValueError

        wrapped = sidecar.wrap(run, plugin="csv", version="1", operation="x")
        wrapped()
        time.sleep(drain_module.TROUBLE_SECONDS + 0.2)
        broken = True
        with contextlib.suppress(ValueError):
            wrapped()
        wait_for(lambda: outbox.calls(plugin_outcome="error") == 1)


def test_a_turn_that_fails_while_a_failure_waits_is_not_made_again_at_once(
    sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = sidecar._pipeline.drain
    drain._tell_at = 0.0
    monkeypatch.setattr(drain, "_trouble_begins", lambda: 1 / 0)
    drain._take_turn()
    assert drain._tell_at is None


@pytest.mark.parametrize("source", ["plugin", "downstream"])
def test_a_refusal_by_the_breaker_says_who_was_to_blame_for_what_opened_it(outbox: Any, source: str) -> None:
    with contextlib.closing(Sidecar(service="test", export_interval_seconds=60.0)) as sidecar:

        def run() -> None:
            with sidecar.downstream("geo-api") if source == "downstream" else contextlib.nullcontext():
                raise ConnectionError

        wrapped = sidecar.wrap(run, plugin="csv", version="1", operation="x")
        for _ in range(60):
            with contextlib.suppress(ConnectionError, CallNotPermitted):
                wrapped()
        assert sidecar.flush(timeout=5)
        (refused,) = outbox.named("plugin.invocation.duration", plugin_outcome="rejected")
        assert refused.attributes["plugin.rejection.reason"] == "circuit_open"
        assert refused.attributes["plugin.error.source"] == source


def test_what_a_breaker_refuses_that_a_person_forced_open_is_the_hosts(sidecar: Sidecar, outbox: Any) -> None:
    """Before, it was counted against the plugin whose call had failed last, however long before."""

    def run() -> None:
        raise ConnectionError

    wrapped = sidecar.wrap(run, plugin="csv", version="1", operation="x")
    with pytest.raises(ConnectionError):
        wrapped()
    breaker = sidecar.breaker("csv", "1", "x")
    assert breaker is not None
    breaker.force(BreakerState.FORCED_OPEN, "by hand")
    with pytest.raises(CallNotPermitted):
        wrapped()
    assert sidecar.flush(timeout=5)
    assert outbox.calls(plugin_outcome="rejected", plugin_error_source="host") == 1


def wait_for(met: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not met():
        assert time.monotonic() < until
        time.sleep(0.02)
