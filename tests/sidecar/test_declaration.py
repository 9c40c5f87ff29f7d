"""What is declared wrongly is refused when it is wrapped, with the field's name and what to write instead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from plugwarden import (
    BreakerPolicy,
    BulkheadPolicy,
    CallNotPermitted,
    ConfigurationError,
    Fallback,
    LastGood,
    QuotaPolicy,
    RatePolicy,
    Sidecar,
    Touches,
    Value,
)
from plugwarden.testing import recording


@pytest.mark.parametrize(
    ("term", "given"),
    [
        ("bulkhead", "5"), ("bulkhead", 2.5), ("rate", "5"), ("quota", 0.5), ("workers", "2"), ("workers", True), ("concurrency", "3"),
        ("concurrency", 1.5), ("touches", ["/srv"]), ("criticality", []), ("downstream_errors", 5), ("returns", 5), ("bulkhead", -1),
    ],
)  # fmt: skip
def test_a_term_of_another_type_is_named(sidecar: Sidecar, term: str, given: Any) -> None:
    more = {"runner": "process"} if term == "touches" else {}
    with pytest.raises(ConfigurationError, match=term):
        sidecar.wrap(len, plugin="p", version="1", **{term: given}, **more)
    assert not sidecar.operations


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: BulkheadPolicy("3"), "bulkhead.concurrent"),  # type: ignore[arg-type]
        (lambda: BulkheadPolicy(2.5), "bulkhead.concurrent"),  # type: ignore[arg-type]
        (lambda: BulkheadPolicy(1, "1"), "bulkhead.queue"),  # type: ignore[arg-type]
        (lambda: BulkheadPolicy(1, 1, float("nan")), "bulkhead.wait_seconds"),
        (lambda: RatePolicy("3"), "rate.calls_per_second"),  # type: ignore[arg-type]
        (lambda: RatePolicy(1, burst=2.5), "rate.burst"),  # type: ignore[arg-type]
        (lambda: QuotaPolicy(cpu_share="1"), "quota.cpu_share"),  # type: ignore[arg-type]
        (lambda: QuotaPolicy(output_bytes="1"), "quota.output_bytes"),  # type: ignore[arg-type]
        (lambda: BreakerPolicy(failure_rate="1"), "breaker.failure_rate"),  # type: ignore[arg-type]
        (lambda: BreakerPolicy(window_seconds="1"), "breaker.window_seconds"),  # type: ignore[arg-type]
        (lambda: BreakerPolicy(minimum_calls="1"), "breaker.minimum_calls"),  # type: ignore[arg-type]
        (lambda: BreakerPolicy(jitter_ratio="1"), "breaker.jitter_ratio"),  # type: ignore[arg-type]
        (lambda: Touches(open_files="1"), "touches.open_files"),  # type: ignore[arg-type]
        (lambda: LastGood("3"), "fallback: LastGood"),  # type: ignore[arg-type]
        (lambda: Fallback(Value(1), concurrent="3"), "fallback: concurrent"),  # type: ignore[arg-type]
    ],
)
def test_a_policy_of_another_type_names_its_field(make: Callable[[], Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        make()


def test_one_type_needs_no_list(sidecar: Sidecar) -> None:
    sidecar.wrap(
        len, plugin="p", version="1", downstream_errors=ConnectionError, caller_errors=KeyError, returns=KeyError
    )
    (known,) = sidecar.operations
    assert known.declaration.downstream_errors == (ConnectionError,)
    assert [one.kind for one in known.declaration.returns] == [KeyError]


def test_wrapping_anew_on_the_same_terms_gives_nobody_a_new_allowance() -> None:
    with recording() as recorder:
        answered = 0
        for _ in range(20):  # as a host does that makes its plugin's objects for each request
            call = recorder.sidecar.wrap(len, plugin="p", version="1", rate=RatePolicy(0.001, burst=3))
            try:
                answered += call("x")
            except CallNotPermitted:
                pass
        assert answered == 3
        call = recorder.sidecar.wrap(len, plugin="p", version="1", rate=RatePolicy(0.001, burst=5))
        assert [call("x") for _ in range(5)] == [1] * 5


@pytest.mark.parametrize("bulkhead", [BulkheadPolicy(5), None, BulkheadPolicy(2, queue=1)])
def test_who_waits_for_a_place_gets_it_by_new_terms_too(bulkhead: BulkheadPolicy | None) -> None:
    entered, leave = threading.Event(), threading.Event()

    def work(waits: bool) -> bool:
        if waits:
            entered.set()
            assert leave.wait(30)
        return waits

    with recording() as recorder, ThreadPoolExecutor(2) as pool:
        terms: dict[str, Any] = {"plugin": "p", "version": "1"}
        call = recorder.sidecar.wrap(work, **terms, bulkhead=BulkheadPolicy(1, queue=1, wait_seconds=30))
        first = pool.submit(call, True)
        assert entered.wait(30)
        (operation,) = recorder.sidecar.operations
        second = pool.submit(call, False)
        while not operation.waiting:
            time.sleep(0.001)
        recorder.sidecar.wrap(work, **terms, bulkhead=bulkhead)
        assert second.result(20) is False  # while the first still runs
        leave.set()
        assert first.result(20)
        assert not operation.running
        assert recorder.sidecar.wrap(work, **terms, bulkhead=bulkhead)(False) is False
