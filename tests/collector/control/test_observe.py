"""What the judge sees: windows to the minute, also when the clock is set back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.control.observe import WAYS_EVERY, LongWindows, StoredEvidence, observe
from plugwarden_collector.judge.arrivals import Arrivals, StreamCounts
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.watch import Suspect, Watch
from plugwarden_collector.judge.watch import look as look_at
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.rules.file import DEFAULT_RULES

from tests.collector.support.rolled_store import AT, BEGIN, Store, span

MINUTE = timedelta(minutes=1)


def test_windows_are_counted_again_when_the_clock_was_set_back(store: Store) -> None:
    long = LongWindows()
    observe(store.telemetry.judging, DEFAULT_RULES, AT, mark=0, since=AT, budgets=False, long=long)
    before = AT - timedelta(hours=1)
    observe(store.telemetry.judging, DEFAULT_RULES, before, mark=0, since=before, budgets=False, long=long)
    assert long.at == before


@pytest.mark.parametrize("minute", [10, 50])
def test_windows_of_less_than_six_hours_are_counted_to_the_minute(store: Store, minute: int) -> None:
    at, time = BEGIN.replace(hour=16, minute=minute, second=0), BEGIN.replace(minute=0, second=0)
    message = trace_service_pb2.ExportTraceServiceRequest()
    while time <= at:
        span(message, 0.05, time, attributes={"plugin.id": "geo", "plugin.outcome": "success", "plugin.version": "1"})
        time += 5 * MINUTE
    store.send(Signal.TRACES, message, at)
    store.roll(at)
    counted = observe(
        store.telemetry.judging, DEFAULT_RULES, at, mark=0, since=BEGIN - timedelta(days=1), budgets=False
    ).windows
    found = {size: counts.total for size, counts in counted["availability"]["geo", "1"].items()}
    exact = {size: size // 300 for size in found if size <= 21_600}
    assert {3_600.0, 21_600.0} <= set(exact)
    assert {size: found[size] for size in exact} == exact


def test_what_went_well_since_the_others_fail_is_counted_though_a_stray_failed_later(store: Store) -> None:
    """Before, what a process told first of an operation was left out as of the time before that stray: all there was of it."""

    def called(calls: int, seconds_ago: float, operation: str, outcome: str = "success") -> int:
        message, at = trace_service_pb2.ExportTraceServiceRequest(), AT - timedelta(seconds=seconds_ago)
        said = {"plugin.id": "csv", "plugin.version": "1", "plugin.operation": operation, "plugin.outcome": outcome}
        if outcome != "success":
            said |= {"error.type": "ValueError", "plugin.error.source": "plugin"}
        for _ in range(calls):
            span(message, 0.01, at, attributes=said)
        store.send(Signal.TRACES, message, at)
        store.roll(at)
        return store.telemetry.judging.arrivals(0, (), (), AT - MINUTE, AT + MINUTE).mark

    looking = Watch(mark=called(1, 30, "x"))

    def look(calls: int, seconds_ago: float, operation: str, outcome: str = "success") -> list[Suspect]:
        nonlocal looking
        counts = CallCounts(calls, failed=calls if outcome == "error" else 0)
        came = Arrivals(called(calls, seconds_ago, operation, outcome), [StreamCounts("csv", "1", operation, counts)])
        at = AT - timedelta(seconds=seconds_ago)
        looking, found = look_at(looking, came, DEFAULT_RULES.objectives[:1], {}, at, lambda *_: True)
        return found

    look(4, 10, "x", "error")
    look(50, 6, "y")
    (suspect,) = look(1, 0, "y", "error")
    cells = StoredEvidence(store.telemetry, lambda: DEFAULT_RULES).cells([suspect], AT)
    mine = [cell.counts for cell in cells if cell.operation == "y"]
    assert (sum(item.total for item in mine), sum(item.failed for item in mine)) == (51, 1)


def test_which_versions_hosts_kept_is_asked_once_in_a_while(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as something is suggested, each look would ask again."""
    asked = []
    monkeypatch.setattr(
        type(store.telemetry.judging), "ways_back", lambda self, plugin, since, until: asked.append(plugin) or []
    )
    evidence = StoredEvidence(store.telemetry, lambda: DEFAULT_RULES)
    for at in (AT, AT + WAYS_EVERY / 2, AT + WAYS_EVERY):
        assert evidence.ways_back("geo", at) == []
    assert asked == ["geo", "geo"]
    evidence.ways_back("csv", AT + WAYS_EVERY)
    evidence.ways_back("geo", AT - MINUTE)  # the clock was set back
    assert asked == ["geo", "geo", "csv", "geo"]
