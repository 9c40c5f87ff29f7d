"""A real Prometheus scrapes a sidecar and a collector, and pushes its alerts to the collector."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from plugwarden import Sidecar

from tests.collector.conftest import Running, running

PROMETHEUS = shutil.which("prometheus")


@pytest.mark.e2e
@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed (Debian: apt install prometheus)")
def test_prometheus_reads_what_we_serve(tmp_path: Path) -> None:
    with running(tmp_path / "data") as collector:
        sidecar = Sidecar(service="host", endpoint=collector.http, export_interval_seconds=0.2)
        wrapped = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
        for _ in range(17):
            wrapped()
        targets = [f"127.0.0.1:{sidecar.serve_metrics()}", collector.url.removeprefix("http://")]
        (tmp_path / "alerts.yml").write_text(
            "groups:\n- name: plugins\n  rules:\n  - alert: PluginIsCalled\n"
            "    expr: sum by (plugin_id) (plugin_invocation_duration_seconds_count) > 0\n"
            "    labels: {severity: page, plugin: csv}\n    annotations: {summary: '{{ $value }} calls'}\n"
        )
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\nscrape_configs:\n- job_name: plugwarden\n"
            f"  static_configs:\n  - targets: {targets!r}\nrule_files: [alerts.yml]\n"
            f"alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: [{targets[1]!r}]\n"
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [str(PROMETHEUS), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb",
                   f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]  # fmt: skip
        process = subprocess.Popen(command)
        try:
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
        finally:
            process.terminate()
            process.wait(20)
            sidecar.close(5)


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
