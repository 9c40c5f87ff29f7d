"""The watcher's own health: who has gone silent, what waits too long, and that it says so once and ends it again."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden import Sidecar
from plugwarden_collector.clock import utc_now
from plugwarden_collector.health import metrics as telemetry
from plugwarden_collector.health import watch as watching
from plugwarden_collector.health.conditions import RULES, judge, starting, verdict
from plugwarden_collector.health.growth import Growth
from plugwarden_collector.health.history import History
from plugwarden_collector.health.readings import Readings
from plugwarden_collector.health.senders import FORGET, MAX_SENDERS, Senders
from plugwarden_collector.histogram import Distribution, added, quantile
from plugwarden_collector.judge.alert import AlertState
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.write import writer as writing

from tests.collector.conftest import RULES as RULES_TEXT
from tests.collector.conftest import Running, running
from tests.collector.receive.test_receive import PROTOBUF, request

AT = datetime(2026, 1, 1, 12)
GIB = 2**30


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def states(senders: Senders, at: datetime) -> dict[str, str]:
    return {item.instance: item.state for item in senders.states(at)}


def sending(senders: Senders, instance: str, every: float, *, times: int = 5, since: float = 0.0) -> float:
    """Exports of three signals each; answers the seconds of the last."""
    for number in range(times):
        for signal in range(3):
            senders.heard("host", instance, after(since + every * number + signal / 100))
    return since + every * (times - 1)


# -- who sends --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "limit"), [(5.0, 15.0), (1.0, 15.0), (60.0, 180.0), (300.0, 900.0)])
def test_a_sender_is_stale_after_three_of_its_own_export_intervals(every: float, limit: float) -> None:
    senders = Senders()
    last = sending(senders, "a", every)
    assert states(senders, after(last + limit)) == {"a": "sending"}
    assert states(senders, after(last + limit + 0.1)) == {"a": "silent"}
    senders.heard("host", "a", after(last + limit + 1))
    assert states(senders, after(last + limit + 2)) == {"a": "sending"}


def test_whoever_said_that_it_ends_is_not_waited_for_unless_it_sends_again() -> None:
    senders = Senders()
    last = sending(senders, "a", 5.0)
    senders.told_ending("host", "a", ending=True)
    assert states(senders, after(last + 60)) == {"a": "ended"}
    senders.heard("host", "a", after(last + 61))
    senders.told_ending("host", "a", ending=False)
    assert states(senders, after(last + 61 + 15)) == {"a": "sending"}
    assert states(senders, after(last + 300)) == {"a": "silent"}  # its longest gap is 61 s now


def test_whoever_sent_once_is_not_waited_for() -> None:
    senders = Senders()
    sending(senders, "once", 5.0, times=2)
    assert states(senders, after(900)) == {"once": "learning"}


def test_a_sender_is_forgotten_after_an_hour() -> None:
    senders = Senders()
    last = sending(senders, "a", 5.0)
    assert states(senders, after(last) + FORGET) == {"a": "silent"}
    assert states(senders, after(last + 1) + FORGET) == {}


def test_after_an_outage_the_old_interval_comes_back() -> None:
    senders = Senders()
    last = sending(senders, "a", 5.0)
    last = sending(senders, "a", 5.0, since=last + 600, times=60)
    assert states(senders, after(last + 20)) == {"a": "silent"}


def test_a_deployment_replaces_one_for_one() -> None:
    senders = Senders()
    last = sending(senders, "old-1", 5.0, times=50)
    sending(senders, "old-2", 5.0, times=50)
    sending(senders, "new-1", 5.0, since=last, times=20)
    found = states(senders, after(last + 95))
    assert sorted(found.values()) == ["replaced", "sending", "silent"]
    assert found["new-1"] == "sending"


def test_senders_are_bounded_and_the_least_recent_goes() -> None:
    senders = Senders()
    for number in range(MAX_SENDERS + 10):
        senders.heard("host", str(number), AT)
    found = states(senders, AT)
    assert len(found) == MAX_SENDERS
    assert "0" not in found
    senders.heard("x" * 10_000, "y" * 10_000, AT)
    assert max(len(item.service) for item in senders.states(AT)) == 200


# -- the machine ------------------------------------------------------------------------------------------------------

WELL = Readings(AT, quiet_seconds=1.0, quiet_limit_seconds=15.0, senders=3, lag_p99_seconds=0.1, commit_p99_seconds=0.1,
                queue_bound_bytes=100, used_bytes=GIB, max_bytes=20 * GIB, disk_free_bytes=50 * GIB,
                disk_total_bytes=100 * GIB, growth_bytes_per_second=0.0)  # fmt: skip
TROUBLE: dict[str, dict[str, Any]] = {
    "store_failing": {"failed": 1},
    "audit_log_broken": {"audit_breaks": ("the decision log was cut: entries 4 to 6 are missing",)},
    "no_telemetry": {"quiet_seconds": 16.0},
    "judging_late": {"tick_age_seconds": 11.0},
    "disk_nearly_full": {"disk_free_bytes": 9 * GIB},
    "queue_filling": {"queued_bytes": 81},
    "back_pressure": {"busy": 1},
    "ingest_lag": {"lag_p99_seconds": 11.0},
    "commit_slow": {"commit_p99_seconds": 1.1},
    "rollup_lag": {"rollup_lag_seconds": 11.0, "uncounted_rows": 5},
    "clock_stepped": {"clock_step_seconds": -7200.0},
    "calls_set_aside": {"set_aside": ("1 row of spans in commit 3 of host csv: why",), "set_aside_rows": 1},
    "too_many_names": {"names_beyond": ("host",), "names": 2_000},
    "too_many_words": {"words_beyond": (("error_type", "csv", "host"),), "words": 50},
    "identities_shared": {"shared_starts": ("host",)},
    "quarantines_untold": {"unannounced": ("q-1 geo",)},
    "checkpoint_late": {"wal_bytes": 300 * 2**20},
    "senders_silent": {"silent": ("host a",)},
    "deletion_refused": {"refused_deletions": {"spans": 0.9}},
    "retention_early": {"early": True},
    "near_max_size": {"used_bytes": 19 * GIB},
}
ALSO = [
    {"writer_alive": False},
    {"tick_failures": 1},
    {"stalled_seconds": 11.0, "queued_requests": 1},
    {"checkpoint_put_off_seconds": 601.0},
    {"growth_bytes_per_second": 1e6, "disk_free_bytes": 12 * GIB, "disk_total_bytes": 100 * GIB},
]
"""Further ways into trouble, each of one condition."""


def readings(**changed: Any) -> Readings:
    return Readings(**{**{name: getattr(WELL, name) for name in Readings.__dataclass_fields__}, **changed})


def run(*looks: tuple[float, dict[str, Any]]) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Look at (seconds, what is different from well); answers the states and every change."""
    conditions, seen = starting(), []
    for seconds, changed in looks:
        conditions, changes = judge(conditions, readings(**changed), after(seconds))
        seen += [(change.condition.rule.name, change.before, change.after) for change in changes]
    return {name: item.alert.state.value for name, item in conditions.items()}, seen


def test_every_condition_has_its_trouble_here() -> None:
    assert set(TROUBLE) == {rule.name for rule in RULES}
    assert all(rule.next_step.endswith(".") for rule in RULES)


@pytest.mark.parametrize("name", TROUBLE)
def test_each_trouble_fires_its_own_condition_and_ends_it(name: str) -> None:
    found, changes = run(*[(seconds, TROUBLE[name]) for seconds in range(0, 60, 5)])
    assert {key for key, state in found.items() if state == "firing"} == {name}
    assert {change[0] for change in changes} == {name}
    assert [change[2] for change in changes] in (["firing"], ["pending", "firing"])
    found, changes = run(*[(seconds, TROUBLE[name]) for seconds in range(0, 60, 5)],
                         *[(seconds, {}) for seconds in range(60, 1000, 5)])  # fmt: skip
    assert set(found.values()) == {"inactive"}
    assert changes[-1] == (name, "firing", "inactive")


@pytest.mark.parametrize("trouble", ALSO, ids=lambda trouble: next(iter(trouble)))
def test_other_ways_into_trouble(trouble: dict[str, Any]) -> None:
    found, _ = run(*[(seconds, trouble) for seconds in range(0, 60, 5)])
    assert sum(1 for state in found.values() if state == "firing") == 1


def test_a_value_between_the_limits_neither_fires_nor_ends() -> None:
    between = {"queued_bytes": 60}
    assert run(*[(seconds, between) for seconds in range(0, 60, 5)])[1] == []
    found, changes = run((0, TROUBLE["queue_filling"]), *[(seconds, between) for seconds in range(5, 1000, 5)])
    assert (found["queue_filling"], len(changes)) == ("firing", 1)


def test_growth_counts_only_as_far_as_max_size_lets_it() -> None:
    assert run((0, {"growth_bytes_per_second": 1e6, "disk_free_bytes": 13 * GIB, "max_bytes": 5 * GIB}))[1] == []


def test_nothing_ever_sent_is_no_trouble() -> None:
    assert run((0, {"quiet_seconds": None, "quiet_limit_seconds": None, "senders": 0}))[1] == []


def test_silence_does_not_end_because_everybody_is_forgotten() -> None:
    forgotten = {"quiet_seconds": 4000.0, "quiet_limit_seconds": None, "senders": 0}
    assert run((0, TROUBLE["no_telemetry"]), (4000, forgotten))[0]["no_telemetry"] == "firing"


LOOKS = st.lists(st.tuples(st.floats(0.1, 120), st.sampled_from([{}, *TROUBLE.values(), *ALSO])), max_size=60)


@given(LOOKS)
def test_the_machine_keeps_its_promises(looks: list[tuple[float, dict[str, Any]]]) -> None:
    conditions, seconds = starting(), 0.0
    for step, changed in looks:
        seconds += step
        before, now = conditions, readings(**changed)
        conditions, changes = judge(before, now, after(seconds))
        assert judge(before, now, after(seconds)) == (conditions, changes)  # nothing but its arguments decides
        assert set(conditions) == set(before)
        for change in changes:
            assert change.before != change.after
            assert conditions[change.condition.rule.name].alert.state.value == change.after
        for name, item in conditions.items():
            alert, rule = item.alert, item.rule
            if alert.state is AlertState.FIRING:
                assert alert.pending_at is not None
                assert alert.firing_at is not None
                assert alert.firing_at - alert.pending_at >= timedelta(seconds=rule.for_seconds)
            if before[name].alert.state is AlertState.FIRING and alert.state is not AlertState.FIRING:
                assert rule.read(now).burning is False
                quiet = before[name].alert.quiet_since or after(seconds)
                assert after(seconds) - quiet >= timedelta(seconds=rule.keep_seconds)
        word = verdict(conditions, now)
        open_ = {item.rule.severity for item in conditions.values() if item.alert.state is not AlertState.INACTIVE}
        assert (word.level == "green") == (not open_)


# -- what is remembered -----------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.0001, 100), min_size=1), st.lists(st.floats(0.0001, 100), min_size=1))
def test_what_was_added_has_the_quantiles_of_what_was_added(first: list[float], second: list[float]) -> None:
    times = Distribution()
    for value in first:
        times.observe(value)
    before = times.counts()
    for value in second:
        times.observe(value)
    found = quantile(added(times.counts(), before), 0.5)
    exact = sorted(second)[max(0, -(-len(second) // 2) - 1)]
    assert found == pytest.approx(exact, rel=0.023)
    edges = times.cumulative()
    assert [count for _, count in edges] == sorted(count for _, count in edges)
    assert edges[-1] == ("+Inf", len(first) + len(second))
    for edge, count in edges[:-1]:
        assert count == pytest.approx(sum(value <= float(edge) for value in first + second), abs=0)


def test_growth_is_a_slope_and_unknown_at_first() -> None:
    growth = Growth()
    for seconds in range(0, 900, 5):
        growth.add(after(seconds), 1_000_000 + 2_000 * seconds + 5_000_000 * (seconds % 60 == 0))
        if seconds < 300:
            assert growth.bytes_per_second() is None
    assert growth.bytes_per_second() == pytest.approx(2_000, rel=0.2)


def test_history_is_bounded_and_thinned_to_what_a_chart_can_show() -> None:
    history = History()
    for seconds in range(0, 8 * 3600, 5):
        if history.due(after(seconds)):
            history.add(readings(at=after(seconds)))
    whole = history.columns(AT, 10_000)["at"]
    assert len(whole) == 2160
    assert whole[-1] - whole[0] == timedelta(hours=6) - timedelta(seconds=10)
    assert 300 <= len(history.columns(AT, 360)["at"]) <= 360


# -- a real collector -------------------------------------------------------------------------------------------------


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = utc_now()

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


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
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(watching, "EVERY_SECONDS", 3600.0)  # the tests look themselves
    return Clock()


@pytest.fixture
def still(tmp_path: Path, clock: Clock, pager: Pager) -> Iterator[Running]:
    rules = tmp_path / "rules.toml"
    rules.write_text(f'{RULES_TEXT}\n[[receiver]]\nname = "pager"\nurl = "http://127.0.0.1:{pager.server_port}/"\n')
    with running(tmp_path / "data", rules, clock=clock) as found:
        yield found


def eventually(check: Callable[[], Any]) -> Any:
    for _ in range(400):
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def post(collector: Running, instance: str, spans: int = 1) -> int:
    message = request(spans)
    resource = message.resource_spans[0].resource
    for key, value in (("service.name", "host"), ("service.instance.id", instance)):
        resource.attributes.add(key=key).value.string_value = value
    body = message.SerializeToString()
    return httpx2.post(f"{collector.http}/v1/traces", content=body, headers=PROTOBUF, timeout=30).status_code


def conditions(collector: Running) -> dict[str, str]:
    collector.collector.health.look()
    return {row["name"]: row["state"] for row in collector.api.get("health")["conditions"]}


def firing(collector: Running) -> set[str]:
    return {name for name, state in conditions(collector).items() if state == "firing"}


def test_a_held_writer_makes_its_conditions_fire_and_clear(
    still: Running, clock: Clock, pager: Pager, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(still, "a") == 200
    assert firing(still) == set()
    release = threading.Event()
    still.collector.writer.run(lambda connection: release.wait(60))
    size = read(Signal.TRACES, request(200).SerializeToString()).nbytes
    monkeypatch.setattr(writing, "MAX_QUEUED_BYTES", int(3.1 * size))  # three of them fill it
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
        found = conditions(still)
    assert {name for name, state in found.items() if state == "firing"} == set()
    told = eventually(lambda: [body for body in pager.got if body["status"] == "resolved"])
    assert told[0]["commonLabels"]["component"] == "collector"
    assert "plugin" not in told[0]["commonLabels"]
    rows = still.api.query("select name, before, after from alert_events where plugin_id is null").to_pylist()
    assert {"name": "queue_filling", "before": "inactive", "after": "firing"} in rows
    assert still.api.get("alerts")["history"] == []
    assert still.api.get("quarantine") == []


def test_a_stopped_sender_makes_freshness_fire_after_three_of_its_intervals(still: Running, clock: Clock) -> None:
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


def test_what_fires_is_taken_up_after_a_restart(tmp_path: Path, clock: Clock) -> None:
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


def test_a_silence_keeps_the_pager_quiet_and_the_condition_firing(still: Running, clock: Clock, pager: Pager) -> None:
    made = still.api.post("silences", {"matchers": {"component": "collector"}, "seconds": 3600, "comment": "known"})
    for _ in range(4):
        assert post(still, "a") == 200
        clock.move(10)
    clock.move(60)
    assert firing(still) == {"no_telemetry"}
    row = next(row for row in still.api.get("health")["conditions"] if row["name"] == "no_telemetry")
    assert row["silenced_by"] == made["id"]
    assert pager.got == []


def test_every_number_is_at_metrics_and_a_scrape_asks_the_database_nothing(
    still: Running, clock: Clock, monkeypatch: pytest.MonkeyPatch
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
        asked.extend(frame.name for frame in traceback.extract_stack() if frame.filename == telemetry.__file__)
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
