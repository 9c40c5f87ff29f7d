"""Calls that do not come back are told while they run, each once, and nobody else's calls are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from plugwarden import Sidecar
from plugwarden.contract import Scope
from plugwarden.declaration import Declaration
from plugwarden.invocation import STEPWISE_NS, Invocation
from plugwarden.operation import Operation
from plugwarden.pipeline import overdue as module
from plugwarden.pipeline.aggregate import Aggregator
from plugwarden.pipeline.overdue import KNOWN_CALLS, LEAST_NS, OVERDUE, TIMES_LONGER, Overdue, is_told

SECOND = 1_000_000_000
FOREVER = 3_600 * SECOND


@pytest.fixture
def operation() -> Operation:
    return Operation(Scope("csv", "1", "x"), Declaration())


def running(operation: Operation, *, since: int = SECOND, deadline: int = 0) -> Invocation:
    call = Invocation()
    call.operation, call.ids, call.parent, call.more, call.let_go = operation, None, None, None, False
    call.started_ns, call.duration_ns, call.deadline_ns = since, 0, deadline
    operation.running.add(call)
    return call


def learned(operation: Operation, calls: int = KNOWN_CALLS, longest: int = SECOND // 100) -> Overdue:
    overdue, seen = Overdue(lambda: [operation]), Aggregator()
    seen.add_durations(operation, [longest] * calls)
    overdue.learn(seen.cells)
    return overdue


def look(overdue: Overdue, at: int) -> list[Invocation]:
    """Two looks, the second at `at`."""
    overdue.look(at - SECOND)
    return overdue.look(at)


def test_a_call_that_runs_far_longer_than_any_before_is_told_once(operation: Operation) -> None:
    overdue, call = learned(operation), running(operation)
    assert overdue.look(SECOND + LEAST_NS) == []
    assert overdue.look(2 * SECOND + LEAST_NS) == []  # the process may have stood still, and not the call
    (told,) = overdue.look(3 * SECOND + LEAST_NS)
    assert (told.outcome, told.source, told.error_type) == ("timeout", "plugin", OVERDUE)
    assert told.duration_ns == 2 * SECOND + LEAST_NS
    assert is_told(call)
    assert look(overdue, FOREVER) == []


def test_how_long_is_too_long_grows_with_the_longest_call(operation: Operation) -> None:
    overdue = learned(operation, longest=30 * SECOND)
    running(operation)
    assert look(overdue, SECOND + TIMES_LONGER * 30 * SECOND) == []
    assert len(look(overdue, 4 * SECOND + TIMES_LONGER * 30 * SECOND)) == 1


def test_where_few_calls_have_ended_nobody_knows_how_long_one_may_take(operation: Operation) -> None:
    overdue = learned(operation, calls=KNOWN_CALLS - 1)
    running(operation)
    assert look(overdue, FOREVER) == []


def test_past_its_deadline_a_call_is_told_as_what_it_will_be() -> None:
    operation = Operation(Scope("csv", "1", "x"), Declaration(timeout_seconds=4.0))
    overdue = Overdue(lambda: [operation])
    running(operation)
    assert look(overdue, 6 * SECOND) == []
    (told,) = look(overdue, 9 * SECOND)
    assert told.error_type == "timeout"


def test_what_is_left_of_a_callers_deadline_is_the_callers_to_tell(operation: Operation) -> None:
    overdue = Overdue(lambda: [operation])
    running(operation, deadline=2 * SECOND)
    assert look(overdue, FOREVER) == []


def test_what_runs_in_steps_waits_for_who_wants_the_next(operation: Operation) -> None:
    overdue, call = learned(operation), running(operation)
    call.duration_ns = STEPWISE_NS
    assert look(overdue, FOREVER) == []


def test_a_mark_of_an_earlier_call_in_the_same_object_is_void(operation: Operation) -> None:
    overdue, call = learned(operation), running(operation)
    look(overdue, FOREVER)
    call.started_ns = FOREVER
    assert not is_told(call)


def test_lost_calls_do_not_teach_that_calls_take_long(operation: Operation) -> None:
    overdue, seen = learned(operation), Aggregator()
    first = running(operation)
    for told in look(overdue, FOREVER):
        seen.add(told)
    overdue.learn(seen.cells)
    operation.running.discard(first)
    running(operation, since=FOREVER)
    assert len(look(overdue, FOREVER + LEAST_NS + 3 * SECOND)) == 1


def test_who_waits_for_a_downstream_is_not_to_blame(operation: Operation) -> None:
    overdue, call = learned(operation), running(operation)
    call.waits_for = "db"
    (told,) = look(overdue, FOREVER)
    assert told.source == "downstream"


def test_of_calls_within_each_other_the_innermost_is_told(operation: Operation) -> None:
    inner_operation = Operation(Scope("geo", "1", "x"), Declaration())
    overdue, seen = Overdue(lambda: [operation, inner_operation]), Aggregator()
    for each in (operation, inner_operation):
        seen.add_durations(each, [1] * KNOWN_CALLS)
    overdue.learn(seen.cells)
    outer, inner = running(operation), running(inner_operation)
    inner.parent = outer
    (told,) = look(overdue, FOREVER)
    assert told.operation is inner_operation


def test_one_that_ends_after_all_teaches_how_long_a_call_may_take(operation: Operation) -> None:
    overdue, call = learned(operation), running(operation)
    assert look(overdue, FOREVER)
    operation.running.discard(call)
    call.duration_ns = FOREVER
    overdue.learn_late(call)
    running(operation, since=2 * FOREVER)
    assert look(overdue, 3 * FOREVER) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_NS", SECOND // 5)
    monkeypatch.setattr(module, "LOOK_EVERY_NS", SECOND // 20)


def test_a_fault_in_looking_keeps_nothing_from_being_told(outbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(overdue: Overdue, now_ns: int) -> list[Invocation]:
        raise RuntimeError("told to")

    monkeypatch.setattr(Overdue, "look", broken)
    sidecar = Sidecar(service="t", export_interval_seconds=0.2)
    sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")()
    _until(lambda: bool(outbox.calls(plugin_id="csv") == 1))  # by the background alone
    sidecar.close(timeout=5)


def _until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not found() and time.monotonic() < end:
        time.sleep(0.02)
    assert found()


def _kinds(outbox: Any) -> Iterator[tuple[str, int]]:
    for outcome in ("success", "timeout"):
        yield outcome, outbox.calls(plugin_id="csv", plugin_outcome=outcome)


@pytest.mark.parametrize("timeout", [None, 0.2])
def test_a_real_call_is_heard_of_while_it_hangs_and_is_counted_once_when_it_ends(
    outbox: Any, impatient: None, monkeypatch: pytest.MonkeyPatch, timeout: float | None
) -> None:
    monkeypatch.setattr(module, "LATE_NS", SECOND // 5)
    sidecar, let_go = Sidecar(service="t", export_interval_seconds=0.2), threading.Event()

    def work(hang: bool) -> None:
        if hang:
            let_go.wait(30)

    wrapped = sidecar.wrap(work, plugin="csv", version="1", operation="x", timeout=timeout)
    for _ in range(KNOWN_CALLS):
        wrapped(False)
    assert sidecar.flush(timeout=5)
    hanging = threading.Thread(target=wrapped, args=(True,))
    hanging.start()
    try:
        _until(lambda: bool(outbox.calls(plugin_id="csv", plugin_outcome="timeout") == 1))
        wrapped(False)
    finally:
        let_go.set()
        hanging.join(10)
    assert sidecar.close(timeout=5)
    assert dict(_kinds(outbox)) == {"success": KNOWN_CALLS + 1, "timeout": 1}
