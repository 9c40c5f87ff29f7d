"""A real Prometheus scrapes a sidecar and a collector."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
from plugwarden import Sidecar

from tests.collector.conftest import running

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
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: plugwarden\n"
            f"  static_configs:\n  - targets: {targets!r}\n"
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
        finally:
            process.terminate()
            process.wait(20)
            sidecar.close(5)


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
