"""Which spans are kept: the bounds hold for every trace, what is cut says so, and every span that is dropped is counted."""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from plugwarden import Sidecar
from plugwarden.pipeline import drain as drain_module
from plugwarden.pipeline import sampling

CUT = "plugin.trace.cut"
Make = Callable[[float], Sidecar]


@pytest.fixture
def made(outbox: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(drain_module, "TROUBLE_SECONDS", 1e9)
    sidecars: list[Sidecar] = []

    def make(ratio: float) -> Sidecar:
        # Nothing is folded or decided on but where a test says so.
        sidecars.append(Sidecar(service="t", trace_ratio=ratio, export_interval_seconds=300, breakers=False))
        return sidecars[-1]

    yield make
    for sidecar in sidecars:
        sidecar.close(timeout=10)


def good(sidecar: Sidecar, name: str = "good") -> Callable[[], None]:
    return sidecar.wrap(lambda: None, plugin="q", version="1", operation=name)


def bad(sidecar: Sidecar) -> Callable[[], None]:
    def fail() -> None:
        raise ValueError

    failing = sidecar.wrap(fail, plugin="q", version="1", operation="bad")

    def quietly() -> None:
        with contextlib.suppress(ValueError):
            failing()

    return quietly


def run(sidecar: Sidecar, work: Callable[[], object], name: str = "run") -> None:
    sidecar.wrap(work, plugin="p", version="1", operation=name)()


def settle(sidecar: Sidecar, *, everything: bool = False) -> None:
    sidecar._pipeline.drain.cut(everything=everything, heartbeat=False)


def fold(sidecar: Sidecar) -> None:
    sidecar._pipeline.totals()


def sent(outbox: Any) -> Counter[str]:
    return Counter(span.name for span in outbox.spans_sent)


def cut_ones(outbox: Any) -> list[str]:
    return [span.name for span in outbox.spans_sent if span.attributes.get(CUT)]


def dropped(outbox: Any) -> int:
    return int(sum(found.point.as_int for found in outbox.named("plugin.telemetry.dropped")))


# -- who asks for everything --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [19_999, 20_000, 25_000])
def test_who_asks_for_everything_gets_every_span_of_a_trace_however_long(made: Make, outbox: Any, calls: int) -> None:
    sidecar = made(1.0)
    child = good(sidecar)
    run(sidecar, lambda: [child() for _ in range(calls)])
    assert sidecar.flush(timeout=20)
    assert sent(outbox) == {"q good": calls, "p run": 1}
    assert len({span.trace_id for span in outbox.spans_sent}) == 1
    assert cut_ones(outbox) == []


def test_who_asks_for_everything_gets_every_span_of_thousands_of_traces_at_once(made: Make, outbox: Any) -> None:
    sidecar = made(1.0)
    child = good(sidecar)
    for _ in range(3_000):
        run(sidecar, lambda: [child() for _ in range(9)])
    assert sidecar.flush(timeout=20)
    assert sent(outbox) == {"q good": 27_000, "p run": 3_000}
    assert dropped(outbox) == 0


def test_no_request_holds_more_spans_than_are_gathered_for_one(made: Make, outbox: Any) -> None:
    sidecar = made(1.0)
    child = good(sidecar)
    run(sidecar, lambda: [child() for _ in range(7_000)])
    assert sidecar.flush(timeout=20)
    assert max(request_sizes(outbox)) <= 2_048


def request_sizes(outbox: Any) -> list[int]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    requests = [ExportTraceServiceRequest.FromString(data) for signal, data in outbox.sent if signal == "spans"]
    return [
        sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
        for request in requests
    ]


# -- a thousand of what went well ----------------------------------------------------------------------------------------


def test_a_trace_that_is_kept_since_something_failed_is_bounded_as_well(made: Make, outbox: Any) -> None:
    sidecar = made(0.1)
    child, failing = good(sidecar), bad(sidecar)

    def work() -> None:
        child()
        failing()
        settle(sidecar, everything=True)  # decided on, while its root runs
        for _ in range(25):
            for _ in range(200):
                child()
            fold(sidecar)
        failing()

    run(sidecar, work)
    assert sidecar.flush(timeout=10)
    assert sent(outbox) == {"q good": 1_000, "q bad": 2, "p run": 1}
    assert cut_ones(outbox) == ["p run"]
    assert outbox.calls(plugin_id="q") == 5_003
    assert dropped(outbox) == 0, "what is cut is left out, as what is not among the share is"


def test_what_was_asked_for_its_ids_is_bounded_as_well(made: Make, outbox: Any) -> None:
    """As an HTTP client's propagator asks in each call."""
    sidecar = made(0.1)
    failing = bad(sidecar)

    def asks() -> None:
        trace.get_current_span().get_span_context()

    asking = sidecar.wrap(asks, plugin="q", version="1", operation="asks")

    def work() -> None:
        failing()
        for _ in range(3_000):
            asking()

    run(sidecar, work)
    assert sidecar.flush(timeout=10)
    assert sent(outbox) == {"q asks": 1_000, "q bad": 1, "p run": 1}
    assert cut_ones(outbox) == ["p run"]


@pytest.mark.parametrize("remote", [False, True], ids=["the host's own", "another process's"])
@pytest.mark.parametrize("settled", [False, True], ids=["at once", "long after"])
def test_below_a_span_that_is_not_ours_the_bound_holds_and_is_marked(
    made: Make, outbox: Any, remote: bool, settled: bool
) -> None:
    """No root of ours can say it, so the last of the spans does."""
    sidecar = made(0.1)
    child, failing = good(sidecar), bad(sidecar)
    parent = SpanContext((1 << 100) - 1, 77, remote, TraceFlags(1))
    token = attach(set_span_in_context(NonRecordingSpan(parent)))
    try:
        failing()
        if settled:
            settle(sidecar, everything=True)
        for _ in range(10):
            for _ in range(1_000):
                child()
            fold(sidecar)
    finally:
        detach(token)
    assert sidecar.flush(timeout=10)
    assert sent(outbox) == {"q good": 1_001, "q bad": 1}, "one more, which says it: those before it may have been sent"
    assert cut_ones(outbox) == ["q good"]
    assert dropped(outbox) == 0


def test_below_a_span_that_is_not_ours_the_last_that_waits_says_that_there_were_more(made: Make, outbox: Any) -> None:
    sidecar = made(0.1)
    child = good(sidecar)
    chosen = SpanContext(1 << 100, 77, False, TraceFlags(1))
    token = attach(set_span_in_context(NonRecordingSpan(chosen)))
    try:
        for _ in range(3_000):
            child()
    finally:
        detach(token)
    assert sidecar.flush(timeout=10)
    assert sent(outbox) == {"q good": 1_000}
    assert cut_ones(outbox) == ["q good"]
    assert dropped(outbox) == 0


def test_below_the_hosts_spans_the_one_that_had_too_many_below_it_says_so(made: Make, outbox: Any) -> None:
    sidecar = made(0.1)
    child, failing = good(sidecar), bad(sidecar)
    tracer = TracerProvider().get_tracer("host")

    def work() -> None:
        failing()
        for _ in range(3_000):
            child()

    with tracer.start_as_current_span("request"):
        run(sidecar, work)
        run(sidecar, work)
    assert sidecar.flush(timeout=10)
    assert sent(outbox) == {"q good": 1_000, "q bad": 2, "p run": 2}  # what leads to a failure is kept
    assert "p run" in cut_ones(outbox)


def test_spans_of_the_hosts_own_are_bounded_with_the_rest_of_their_trace(made: Make, outbox: Any) -> None:
    sidecar = made(0.1)
    failing = bad(sidecar)
    provider = TracerProvider()
    provider.add_span_processor(sidecar.span_processor())
    tracer = provider.get_tracer("host")
    with tracer.start_as_current_span("root"):
        failing()
        for _ in range(3_000):
            with tracer.start_as_current_span("step"):
                pass
        failing()
    assert sidecar.flush(timeout=10)
    found = sent(outbox)
    assert found["root"] == 1
    assert found["q bad"] == 2
    assert 1_000 <= found["step"] <= 1_001
    assert len(cut_ones(outbox)) == 1


def test_calls_that_come_late_below_a_root_that_has_ended_are_bounded_too(made: Make, outbox: Any) -> None:
    sidecar = made(0.1)
    child, failing = good(sidecar), bad(sidecar)
    contexts: list[contextvars.Context] = []

    def work() -> None:
        failing()
        contexts.append(contextvars.copy_context())

    run(sidecar, work)
    settle(sidecar)
    for _ in range(3_000):
        contexts[0].run(child)
    assert sidecar.flush(timeout=10)
    assert sent(outbox) == {"q good": 1_001, "q bad": 1, "p run": 1}
    assert cut_ones(outbox) == ["q good"]


def test_what_leads_to_a_failure_is_kept_with_it(made: Make, outbox: Any) -> None:
    sidecar = made(0.1)
    child, failing = good(sidecar), bad(sidecar)
    middle = sidecar.wrap(failing, plugin="p", version="1", operation="middle")

    def work() -> None:
        failing()
        for _ in range(3_000):
            child()
        fold(sidecar)
        for _ in range(5):
            middle()

    run(sidecar, work)
    assert sidecar.flush(timeout=10)
    assert sent(outbox) == {"q good": 1_000, "q bad": 6, "p middle": 5, "p run": 1}
    known = {span.span_id for span in outbox.spans_sent}
    assert all(span.parent_id in known for span in outbox.spans_sent if span.name == "q bad")


def test_a_trace_that_was_let_go_and_is_kept_after_all_says_that_something_is_missing(made: Make, outbox: Any) -> None:
    sidecar = made(0.0)
    child, failing = good(sidecar), bad(sidecar)

    def work() -> None:
        child()
        settle(sidecar, everything=True)
        failing()

    run(sidecar, work)
    assert sidecar.flush(timeout=10)
    assert sent(outbox) == {"q bad": 1, "p run": 1}
    assert cut_ones(outbox) == ["p run"]


# -- what failed ---------------------------------------------------------------------------------------------------------


def test_every_failure_of_a_trace_is_kept(made: Make, outbox: Any) -> None:
    sidecar = made(0.1)
    failing = bad(sidecar)
    run(sidecar, lambda: [failing() for _ in range(25_000)])
    assert sidecar.flush(timeout=20)
    assert sent(outbox) == {"q bad": 25_000, "p run": 1}
    assert dropped(outbox) == 0


def test_failures_among_more_traces_than_can_wait_are_kept_and_so_are_the_share_and_the_slowest(
    made: Make, outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "MAX_BUFFERED_SPANS", 500)
    sidecar = made(0.1)
    child, failing = good(sidecar), bad(sidecar)

    took: dict[int, float] = {}

    def work(number: int) -> None:
        began = time.perf_counter()
        trace.get_current_span().set_attribute("number", number)
        for _ in range(9):
            child()
        if number % 100 == 0:
            failing()
        took[number] = time.perf_counter() - began

    wrapped = sidecar.wrap(work, plugin="p", version="1", operation="run")
    for number in range(3_000):
        wrapped(number)
    assert sidecar.flush(timeout=20)
    found = sent(outbox)
    assert found["q bad"] == 30
    numbers = {span.attributes["number"] for span in outbox.spans_sent if span.name == "p run"}
    assert max((number for number in took if number % 100), key=took.__getitem__) in numbers
    assert 200 < found["p run"] < 450
    reasons = Counter(span.attributes["plugin.sample.reason"] for span in outbox.spans_sent if span.name == "p run")
    assert reasons["error"] == 30
    whole = Counter(span.trace_id for span in outbox.spans_sent)
    assert set(whole.values()) == {10, 11}, "a trace is kept whole"
    assert dropped(outbox) == 0, "what is not among the share is left out, and there was room for the rest"


def test_what_there_is_no_room_for_is_counted_to_the_last_span(
    made: Make, outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "MAX_BUFFERED_SPANS", 300)
    sidecar = made(0.0)
    child = good(sidecar)
    for number in range(200):  # each is the slowest of its operation, and waits to be kept for that
        run(sidecar, lambda: [child() for _ in range(9)], name=f"run {number}")
    assert not sidecar.flush(timeout=20)
    assert len(outbox.spans_sent) <= 300
    assert sum(sent(outbox).values()) + dropped(outbox) == 2_000


def test_memory_for_what_waits_is_bounded(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_BUFFERED_SPANS", 200)
    monkeypatch.setattr(sampling, "MAX_DECIDED", 50)
    sidecar = made(0.0)
    child, failing = good(sidecar), bad(sidecar)
    traces = sidecar._pipeline._interval._traces

    def nested(depth: int) -> None:
        """Roots that run on: of none of them is it known how it will end."""
        child()
        fold(sidecar)
        held = sum(len(found.spans) for found in traces._traces.values())
        assert held == traces._buffered <= 200
        assert max(len(traces._open), len(traces._over)) <= 50
        if depth:
            token = attach(set_span_in_context(NonRecordingSpan(SpanContext(depth, 1, False, TraceFlags(1)))))
            try:
                for _ in range(3):
                    child()
                if depth % 7 == 0:
                    failing()
            finally:
                detach(token)
            nested(depth - 1)

    run(sidecar, lambda: nested(300))
