"""The collector's look at itself: it fires, pages, is silenced, goes on after a restart, and clears."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from plugwarden import Sidecar
from plugwarden_collector.health import metrics
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.write import writer

from tests.collector.conftest import RULES as RULES_TEXT
from tests.collector.conftest import Running, running
from tests.collector.support.own_health import conditions, post
from tests.collector.support.span_request import PROTOBUF, request
from tests.collector.support.still_clock import StillClock
from tests.collector.support.waiting import eventually

"""Further ways into trouble, each of one condition."""


class Pager(ThreadingHTTPServer):
    """A receiver of notifications."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), PagerHandler)


class PagerHandler(BaseHTTPRequestHandler):
    server: Pager

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


@pytest.fixture
def pager() -> Iterator[Pager]:
    with Pager() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def still(tmp_path: Path, clock: StillClock, pager: Pager) -> Iterator[Running]:
    rules = tmp_path / "rules.toml"
    rules.write_text(f'{RULES_TEXT}\n[[receiver]]\nname = "pager"\nurl = "http://127.0.0.1:{pager.server_port}/"\n')
    with running(tmp_path / "data", rules, clock=clock) as found:
        yield found


def firing(collector: Running) -> set[str]:
    return {name for name, state in conditions(collector).items() if state == "firing"}


def test_a_held_writer_makes_its_conditions_fire_and_clear(
    still: Running, clock: StillClock, pager: Pager, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(still, "a") == 200
    assert firing(still) == set()
    release = threading.Event()
    still.collector.writer.run(lambda connection: release.wait(60))
    size = read(Signal.TRACES, request(200).SerializeToString()).nbytes
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", int(3.1 * size))  # three of them fill it
    with ThreadPoolExecutor(8) as threads:
        held = [threads.submit(post, still, "a", 200) for _ in range(8)]
        try:
            eventually(lambda: still.collector.writer.queued_bytes > 2.5 * size and any(item.done() for item in held))
            conditions(still)
            for _ in range(4):
                clock.move(6)
                found = firing(still)
            assert {"ingest_lag", "queue_filling", "back_pressure"} <= found
            seen = still.api.get("health")
            assert seen["verdict"]["level"] in {"amber", "red"}
            row = next(row for row in seen["conditions"] if row["name"] == "ingest_lag")
            assert "nothing was committed for" in row["summary"]
            assert row["next_step"]
            metrics = httpx2.get(f"{still.url}/metrics").text
            assert 'plugwarden_condition{condition="queue_filling",severity="ticket"} 2.0' in metrics
            assert "plugwarden_busy_answers_total 0.0" not in metrics
        finally:
            release.set()
    assert sorted({item.result() for item in held}) == [200, 503]
    for _ in range(40):
        clock.move(10)
        assert post(still, "a") == 200
        states = conditions(still)
    assert "firing" not in states.values()
    told = eventually(lambda: [body for body in pager.got if body["status"] == "resolved"])
    assert told[0]["commonLabels"]["component"] == "collector"
    assert "plugin" not in told[0]["commonLabels"]
    rows = still.api.query("select name, before, after from alert_events where plugin_id is null").to_pylist()
    assert {"name": "queue_filling", "before": "inactive", "after": "firing"} in rows
    assert still.api.get("alerts")["history"] == []
    assert still.api.get("quarantine") == []


def test_a_stopped_sender_makes_freshness_fire_after_three_of_its_intervals(still: Running, clock: StillClock) -> None:
    for _ in range(4):
        assert post(still, "a") == 200
        assert post(still, "b") == 200
        clock.move(10)
    clock.move(-10)
    for _ in range(3):
        clock.move(10)
        assert post(still, "b") == 200
        assert firing(still) == set()
    clock.move(1)
    assert firing(still) == {"senders_silent"}
    seen = still.api.get("health")
    assert "1 of 2 senders silent" in seen["verdict"]["text"]
    assert "host a" in seen["verdict"]["text"]
    assert [(row["instance"], row["state"], row["interval_seconds"]) for row in seen["senders"]["rows"]] == [
        ("a", "silent", 10.0),
        ("b", "sending", 10.0),
    ]
    clock.move(30)
    assert "no_telemetry" in firing(still)
    assert still.api.get("health")["verdict"]["level"] == "red"
    assert post(still, "a") == post(still, "b") == 200
    assert firing(still) == set()


def test_what_fires_is_taken_up_after_a_restart(tmp_path: Path, clock: StillClock) -> None:
    with running(tmp_path / "data", clock=clock) as first:
        for _ in range(4):
            assert post(first, "a") == 200
            clock.move(10)
        clock.move(60)
        assert firing(first) == {"no_telemetry"}
        eventually(lambda: first.scalar("select count(*) from alert_events") == 1)
    with running(tmp_path / "data", clock=clock) as second:
        assert firing(second) == {"no_telemetry"}
        assert post(second, "a") == 200
        assert firing(second) == set()
        assert [event["after"] for event in second.api.get("health")["events"]] == ["inactive", "firing"]


def test_a_silence_keeps_the_pager_quiet_and_the_condition_firing(
    still: Running, clock: StillClock, pager: Pager
) -> None:
    made = still.api.post("silences", {"matchers": {"component": "collector"}, "seconds": 3600, "comment": "known"})
    for _ in range(4):
        assert post(still, "a") == 200
        clock.move(10)
    clock.move(60)
    assert firing(still) == {"no_telemetry"}
    row = next(row for row in still.api.get("health")["conditions"] if row["name"] == "no_telemetry")
    assert row["silenced_by"] == made["id"]
    assert pager.got == []
    clock.move(3600 - 110 - 9 * 60)
    eventually(lambda: len(pager.got) == 1)
    (notice,) = pager.got[0]["alerts"]
    assert (notice["labels"]["alertname"], notice["labels"]["silence"]) == ("silence ends", made["id"])
    assert (notice["labels"]["severity"], notice["status"]) == ("page", "firing")
    assert "telemetry" in notice["annotations"]["description"]
    clock.move(10 * 60)
    eventually(lambda: len(pager.got) == 3)
    ended, told = (alert for item in pager.got[1:] for alert in item["alerts"])
    both = {(item["labels"]["alertname"], item["status"]) for item in (ended, told)}
    assert both == {("silence ends", "resolved"), ("no_telemetry", "firing")}


def test_every_number_is_at_metrics_and_a_scrape_asks_the_database_nothing(
    still: Running, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(still, "a", 10) == 200
    odd = request(2)
    odd.resource_spans[0].scope_spans[0].spans[0].trace_id = b"short"
    httpx2.post(f"{still.http}/v1/traces", content=odd.SerializeToString(), headers=PROTOBUF)
    conditions(still)
    still.api.get("status")
    asked: list[str] = []
    cursor = Database.cursor

    def noted(self: Database) -> Any:
        asked.extend(frame.name for frame in traceback.extract_stack() if frame.filename == metrics.__file__)
        return cursor(self)

    monkeypatch.setattr(Database, "cursor", noted)
    text = httpx2.get(f"{still.url}/metrics").text
    monkeypatch.undo()
    assert asked == []
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}
    assert found['plugwarden_ingest_lag_seconds_count{signal="traces"}'] == 2
    assert (
        found['plugwarden_refused_items_total{reason="trace_id must have 16 bytes and span_id 8",signal="traces"}'] == 1
    )
    assert found['plugwarden_stored_rows_total{table="spans"}'] == 11
    assert found["plugwarden_commit_seconds_count"] == 2
    assert found["plugwarden_database_file_bytes"] > 0
    assert found['plugwarden_senders{state="learning"}'] == 2
    assert found['plugwarden_api_requests_total{route="/api/v1/status",status="200"}'] == 1
    assert found["process_resident_memory_bytes"] > 0
    assert found['plugwarden_condition{condition="no_telemetry",severity="page"}'] == 0


def test_a_real_sidecar_is_known_as_a_sender_and_is_well(collector: Running, sidecar: Sidecar) -> None:
    call = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
    for _ in range(5):
        call()
    assert sidecar.flush()
    collector.collector.health.look()
    found = collector.api.get("health")
    assert [row["service"] for row in found["senders"]["rows"]] == ["host"]
    assert found["verdict"]["level"] == "green", found["verdict"]
    assert found["now"]["event_age_seconds"]["metrics"] is not None
