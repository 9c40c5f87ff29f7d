"""The collector is away for ten minutes of load, and comes back. Time runs fifty times as fast."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from plugwarden import Sidecar
from plugwarden.pipeline import dispatch
from plugwarden_collector.settings import Address

from tests.collector.conftest import running

SPEED = 50
OUTAGE_SECONDS = 600 / SPEED


@pytest.mark.e2e
def test_every_call_is_counted_over_an_outage_and_every_lost_span_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is bounded is bounded to a fifth, so that ten minutes of this load overrun every bound.
    monkeypatch.setattr(dispatch, "MAX_PENDING_METRICS", 24)
    monkeypatch.setattr(dispatch, "MAX_PENDING_BYTES", 512 * 1024)
    monkeypatch.setattr(dispatch, "_BACKOFF_MAX_SECONDS", 5.0 / SPEED)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sidecar = Sidecar(
        service="host",
        endpoint=f"http://127.0.0.1:{port}",
        state_dir=tmp_path / "state",
        spool_bytes=1024 * 1024,
        trace_ratio=1.0,
        export_interval_seconds=5.0 / SPEED,
    )
    calls = [0, 0]

    def work(fail: bool) -> None:
        if fail:
            raise ValueError("no")

    wrapped = sidecar.wrap(work, plugin="csv", version="1", breaker=False)
    stop = threading.Event()

    def load() -> None:
        while not stop.wait(0.01):
            for number in range(20):
                calls[number == 0] += 1
                try:
                    wrapped(number == 0)
                except ValueError:
                    pass

    thread = threading.Thread(target=load)
    thread.start()
    time.sleep(OUTAGE_SECONDS)
    (spool,) = (tmp_path / "state" / "spool").glob("*.sqlite")
    assert spool.stat().st_size < 2 * 1024 * 1024
    with running(tmp_path / "data", http=Address("127.0.0.1", port)) as collector:
        time.sleep(2)
        stop.set()
        thread.join()
        deadline = time.monotonic() + 60
        while not sidecar.flush(timeout=5) and time.monotonic() < deadline:
            pass
        sidecar.flush(timeout=5)  # what was counted as dropped meanwhile
        assert collector.scalar("select sum(calls) from plugin_calls where outcome = 'success'") == calls[0]
        assert collector.scalar("select sum(calls) from plugin_calls where outcome = 'error'") == calls[1]
        stored = collector.scalar("select count(*) from spans")
        lost = collector.api.query(
            "select attributes['plugin.telemetry.drop.reason'] as reason, sum(value) as items from metric_points "
            "where metric = 'plugin.telemetry.dropped' and attributes['plugin.telemetry.signal'] = 'spans' group by 1"
        ).to_pylist()
        assert {row["reason"] for row in lost} <= {"queue_full", "spool_full"}
        assert sum(row["items"] for row in lost) > 0  # the bounds were overrun, else this would show nothing
        assert stored + sum(row["items"] for row in lost) == sum(calls)
        sidecar.close(timeout=5)
    for path in (tmp_path / "state" / "spool").glob("*.sqlite"):
        assert sqlite3.connect(path).execute("select count(*) from item").fetchone() == (0,)
