"""A real Prometheus scrapes a sidecar and a collector, and pushes its alerts to the collector, which may act on them."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from plugwarden import Sidecar

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.waiting import eventually

PROMETHEUS = shutil.which("prometheus")


needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None, reason="prometheus is not installed (Debian: apt install prometheus)"
)


@contextmanager
def prometheus(folder: Path, sidecar: Sidecar, collector: Running, rule: str) -> Iterator[int]:
    """A Prometheus that scrapes both, and pushes an alert to the collector; gives its port."""
    targets = [f"127.0.0.1:{sidecar.serve_metrics()}", collector.url.removeprefix("http://")]
    (folder / "alerts.yml").write_text(f"groups:\n- name: plugins\n  rules:\n{rule}")
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\nscrape_configs:\n- job_name: plugwarden\n"
        f"  static_configs:\n  - targets: {targets!r}\nrule_files: [alerts.yml]\n"
        f"alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: [{targets[1]!r}]\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(PROMETHEUS), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error", "--rules.alert.resend-delay=3s"]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.e2e
@needs_prometheus
def test_prometheus_reads_what_we_serve(tmp_path: Path) -> None:
    rule = (
        "  - alert: PluginIsCalled\n    expr: sum by (plugin_id) (plugin_invocation_duration_seconds_count) > 0\n"
        "    labels: {severity: page, plugin: csv}\n    annotations: {summary: '{{ $value }} calls'}\n"
    )
    with running(tmp_path / "data") as collector, closing(sidecar_of(collector)) as sidecar:
        wrapped = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
        for _ in range(17):
            wrapped()
        with prometheus(tmp_path, sidecar, collector, rule) as port:
            calls = ask(port, 'sum(plugin_invocation_duration_seconds_count{plugin_id="csv"})')
            assert calls == "17"
            assert float(ask(port, "plugwarden_ticks_total")) > 0
            assert ask(port, "sum(up)") == "2"
            row = pushed(collector)
            assert (row["name"], row["severity"], row["plugin_id"]) == ("PluginIsCalled", "page", "csv")
            assert row["summary"] == "17 calls"
            own = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
            (errors,) = re.findall(r"^prometheus_notifications_errors_total\{.*\} (\d+)$", own, re.MULTILINE)
            assert errors == "0"


@pytest.mark.e2e
@needs_prometheus
def test_an_alert_of_prometheus_isolates_until_it_is_over_and_guard_rails_hold(tmp_path: Path) -> None:
    """Calls that hang are an alert here; of a protected plugin a person is asked, and one that nobody knows is not isolated."""
    rules = tmp_path / "rules.toml"
    pushed_policy = (
        '[[policy.pushed]]\nname = "hangs"\nmatchers = [\'alertname=~"Plugin.*"\']\nenforcement = "enforce"\n'
    )
    rules.write_text(RULES.replace('hold = "1h"', 'hold = "1s"\nprotected = ["auth"]') + pushed_policy)
    rule = (
        "  - alert: PluginHangs\n    expr: plugin_invocation_active > 0\n    labels: {severity: page}\n"
        "    annotations: {summary: '{{ $value }} calls hang'}\n"
        "  - alert: PluginOfNobody\n    expr: vector(1)\n    labels: {plugin: nobody, version: '1'}\n"
    )
    over = threading.Event()
    with running(tmp_path / "data", rules) as collector, closing(sidecar_of(collector)) as sidecar:
        for plugin in ("csv", "auth"):
            sidecar.wrap(lambda: None, plugin=plugin, version="1", operation="x")()
            hanging = sidecar.wrap(lambda: over.wait(120), plugin=plugin, version="1", operation="y")
            threading.Thread(target=hanging, daemon=True).start()

        def said() -> set[tuple[str, str]]:
            return {(row["kind"], re.split("[@ ]", row["scope"])[0]) for row in collector.api.get("audit")}

        def states() -> dict[str, str]:
            return {row["plugin_id"]: row["state"] for row in collector.api.get("quarantine")}

        try:
            with prometheus(tmp_path, sidecar, collector, rule):
                eventually(lambda: states() == {"csv": "quarantined", "auth": "degraded"}, 60)
                eventually(
                    lambda: {("quarantined", "csv"), ("prevented", "auth"), ("prevented", "alert")} <= said(), 60
                )
                time.sleep(3)
                assert states()["csv"] == "quarantined", "the policy's hold is over, the alert is not"
                over.set()
                eventually(lambda: states()["csv"] == "probation", 60)
        finally:
            over.set()


def sidecar_of(collector: Running) -> Sidecar:
    return Sidecar(service="host", endpoint=collector.http, export_interval_seconds=0.2)


def pushed(collector: Running) -> Any:
    """The alert that Prometheus pushed, once it fires here."""
    until = time.monotonic() + 40
    while time.monotonic() < until:
        for row in collector.api.get("alerts")["alerts"]:
            if (row["source"], row["state"]) == ("prometheus", "firing"):
                return row
        time.sleep(0.2)
    raise AssertionError("no alert was pushed")


def ask(port: int, query: str) -> str:
    """The value of an instant query, once there is one."""
    until = time.monotonic() + 40
    while time.monotonic() < until:
        try:
            answer = httpx2.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}).json()
        except httpx2.HTTPError:
            answer = {}
        result = answer.get("data", {}).get("result", [])
        if result:
            return str(result[0]["value"][1])
        time.sleep(0.5)
    raise AssertionError(f"{query} has no value")
