"""Plain successes: what a wrapper uses again between calls, what is counted, and whose spans are sent."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from plugwarden import Sidecar
from plugwarden.contract.histogram import bucket_index_of_ns, bucket_indexes_of_ns
from plugwarden.pipeline import drain as drain_module
from plugwarden.pipeline import pipeline as pipeline_module
from plugwarden.pipeline import sampling
from plugwarden.pipeline.sampling import gaps

from tests.sidecar.support.crowd import call_from_threads


@pytest.fixture
def thrifty(outbox: Any) -> Iterator[Sidecar]:
    """A sidecar that keeps a share of ordinary traces, as it does unless told otherwise, however many they are."""
    made = Sidecar(service="test", trace_ratio=0.1, traces_per_second=1e9)
    yield made
    made.close(timeout=5)


def test_every_call_is_counted_where_few_leave_a_span(thrifty: Sidecar, outbox: Any) -> None:
    call = thrifty.wrap(lambda: None, plugin="p", version="1", operation="x")
    call_from_threads(4, call, calls=5_000)
    assert thrifty.flush(timeout=10)
    assert outbox.calls(plugin_id="p", plugin_outcome="success") == 20_000
    for found in outbox.named("plugin.invocation.duration"):
        assert found.point.count == sum(found.point.positive.bucket_counts)
        assert 0 < found.point.min <= found.point.max <= found.point.sum
    reasons = Counter(span.attributes["plugin.sample.reason"] for span in outbox.spans_sent)
    # A tenth of 20,000, of which nine in ten trillion such runs are further than eight standard deviations (42) off.
    assert abs(reasons["ratio"] - 2_000) < 8 * 43
    assert reasons["slow"] >= 1
    ids = [(span.trace_id, span.span_id) for span in outbox.spans_sent]
    assert len(set(ids)) == len(ids)
    # Each kept one is one that another host that sees its trace would keep.
    kept = [span.trace_id for span in outbox.spans_sent if span.attributes["plugin.sample.reason"] == "ratio"]
    assert all(int(trace_id, 16) % 2**56 < 0.1 * 2**56 for trace_id in kept)


@pytest.mark.parametrize(("ratio", "wanted"), [(0.0, 0), (1.0, 3_000)])
def test_none_and_all_are_meant_as_they_are_said(outbox: Any, ratio: float, wanted: int) -> None:
    sidecar = Sidecar(service="test", trace_ratio=ratio)
    call = sidecar.wrap(lambda: None, plugin="p", version="1", operation="x")
    for _ in range(3_000):
        call()
    assert sidecar.close(timeout=10)
    assert outbox.calls(plugin_id="p") == 3_000
    reasons = Counter(span.attributes["plugin.sample.reason"] for span in outbox.spans_sent)
    assert reasons["ratio"] == wanted
    ids = [(span.trace_id, span.span_id) for span in outbox.spans_sent]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("guarded", [False, True])
def test_of_an_operation_that_is_called_often_only_so_many_traces_a_second_are_kept(outbox: Any, guarded: bool) -> None:
    now = 10**12
    sidecar = Sidecar(service="test", trace_ratio=0.5, traces_per_second=20)
    # A failed result is looked for in each result, so such calls are decided on in the background.
    terms = {"failed_result": lambda result: None} if guarded else {}
    calls = {
        name: sidecar.wrap(lambda: None, plugin="p", version="1", operation=name, **terms) for name in ("often", "rare")
    }
    for operation in sidecar.operations:
        operation.clock = lambda: now
    # What was wrapped holds the clock of before: it is wrapped anew, as a reload does.
    calls = {name: sidecar.wrap(lambda: None, plugin="p", version="1", operation=name, **terms) for name in calls}
    for _ in range(30):
        now += 100_000_000  # three seconds in all
        for _ in range(100):
            calls["often"]()
        calls["rare"]()
    assert sidecar.close(timeout=10)
    assert outbox.calls(plugin_operation="often") == 3_000
    kept = Counter(span.name for span in outbox.spans_sent if span.attributes["plugin.sample.reason"] == "ratio")
    most = 20 + 2 * 29  # a second's worth at once, and two in each tenth
    assert (
        (kept["p often"] == most) if not guarded else (20 < kept["p often"] <= most)
    )  # the background takes some later
    assert kept["p rare"] > 0  # half of 30


def test_a_gap_is_as_long_as_chance_makes_it() -> None:
    draw = gaps(0.25)
    drawn = [draw() for _ in range(40_000)]
    assert min(drawn) == 0
    # Geometric: mean (1 - p) / p = 3, variance (1 - p) / p^2 = 12; eight standard errors.
    assert abs(sum(drawn) / len(drawn) - 3.0) < 8 * math.sqrt(12 / len(drawn))
    assert {gaps(1.0)() for _ in range(1_000)} == {0}
    assert gaps(0.0)() == sys.maxsize


def test_a_span_that_a_plugin_keeps_is_no_other_calls(thrifty: Sidecar) -> None:
    kept = []
    call = thrifty.wrap(lambda: kept.append(trace.get_current_span()), plugin="p", version="1", operation="x")
    for _ in range(200):
        call()
    assert len({id(span) for span in kept}) == 200
    assert len({span.get_span_context().span_id for span in kept}) == 200


def test_a_context_that_a_plugin_keeps_stays_its_calls(thrifty: Sidecar) -> None:
    kept: list[contextvars.Context] = []
    asked = []

    def keep() -> None:
        kept.append(contextvars.copy_context())
        if len(kept) % 2:
            asked.append(trace.get_current_span().get_span_context().span_id)

    call = thrifty.wrap(keep, plugin="p", version="1", operation="x")
    for _ in range(100):
        call()
    seen = [context.run(lambda: trace.get_current_span().get_span_context().span_id) for context in kept]
    assert seen[::2] == asked
    assert len(set(seen)) == 100


def test_what_asks_for_its_ids_has_others_in_the_next_call(thrifty: Sidecar, outbox: Any) -> None:
    call = thrifty.wrap(
        lambda: trace.get_current_span().get_span_context().trace_id, plugin="p", version="1", operation="x"
    )
    assert len({call() for _ in range(500)}) == 500
    assert thrifty.flush(timeout=5)
    assert outbox.calls(plugin_id="p") == 500


def test_an_annotation_is_not_handed_on_to_the_next_call(sidecar: Sidecar, outbox: Any) -> None:
    def note(number: int) -> None:
        if number % 7 == 0:
            trace.get_current_span().set_attribute("number", number)

    call = sidecar.wrap(note, plugin="p", version="1", operation="x")
    for number in range(700):
        call(number)
    assert sidecar.flush(timeout=5)
    assert sorted(span.attributes["number"] for span in outbox.spans_sent if "number" in span.attributes) == list(
        range(0, 700, 7)
    )


def test_coroutines_that_run_at_once_have_invocations_of_their_own(thrifty: Sidecar, outbox: Any) -> None:
    async def work() -> int:
        span = trace.get_current_span()
        await asyncio.sleep(0)
        assert trace.get_current_span() is span
        return id(span)

    call = thrifty.wrap(work, plugin="p", version="1", operation="x")

    async def run() -> None:
        for _ in range(20):
            found = await asyncio.gather(*(call() for _ in range(50)))
            assert len(set(found)) == 50
            await call()

    asyncio.run(run())
    assert thrifty.flush(timeout=5)
    assert outbox.calls(plugin_id="p") == 1_020


def test_spans_below_a_call_have_it_above_them(outbox: Any) -> None:
    sidecar = Sidecar(service="test", trace_ratio=0.5, traces_per_second=1e9)
    inner = sidecar.wrap(lambda: None, plugin="q", version="1", operation="inner")
    outer = sidecar.wrap(lambda: inner() or inner(), plugin="p", version="1", operation="outer")
    for _ in range(1_000):
        outer()
    assert sidecar.close(timeout=10)
    assert (outbox.calls(plugin_id="p"), outbox.calls(plugin_id="q")) == (1_000, 2_000)
    spans = outbox.spans_sent
    above = {span.span_id: span for span in spans if span.name == "p outer"}
    below = Counter(span.parent_id for span in spans if span.name == "q inner")
    assert 300 < len(above) < 700
    assert set(below) == set(above)
    assert set(below.values()) == {2}
    assert all(above[span.parent_id].trace_id == span.trace_id for span in spans if span.name == "q inner")


def test_a_call_below_one_that_has_ended_finds_it_above(outbox: Any) -> None:
    sidecar = Sidecar(service="test", trace_ratio=1.0)
    inner = sidecar.wrap(lambda: None, plugin="q", version="1", operation="inner")
    late: list[contextvars.Context] = []
    outer = sidecar.wrap(lambda: late.append(contextvars.copy_context()), plugin="p", version="1", operation="outer")
    for _ in range(100):
        outer()
    assert sidecar.flush(timeout=5)
    for context in late:
        context.run(inner)
    assert sidecar.close(timeout=5)
    above = {span.span_id: span.trace_id for span in outbox.spans_sent if span.name == "p outer"}
    below = {span.parent_id: span.trace_id for span in outbox.spans_sent if span.name == "q inner"}
    assert len(above) == 100
    assert below == above


def test_a_trace_that_was_let_go_is_counted_to_its_end(outbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_BUFFERED_SPANS", 50)
    sidecar = Sidecar(
        service="test", trace_ratio=1e-12, traces_per_second=1e9
    )  # one of the share would be kept, not dropped

    def fail() -> None:
        raise ValueError

    inner = sidecar.wrap(lambda: None, plugin="q", version="1", operation="inner")
    failing = sidecar.wrap(fail, plugin="q", version="1", operation="failing", breaker=False)

    def run() -> None:
        for _ in range(4):
            for _ in range(500):
                inner()
            sidecar._pipeline.totals()  # folds
        with pytest.raises(ValueError):
            failing()

    sidecar.wrap(run, plugin="p", version="1", operation="run")()
    assert not sidecar.close(timeout=5)  # spans were dropped
    assert outbox.calls(plugin_id="q", plugin_outcome="success") == 2_000
    assert outbox.calls(plugin_id="q", plugin_outcome="error") == 1
    assert [span.name for span in outbox.spans_sent if span.attributes["plugin.outcome"] == "error"] == ["q failing"]
    dropped = outbox.named("plugin.telemetry.dropped", plugin_telemetry_drop_reason="trace_buffer_full")
    assert sum(found.point.as_int for found in dropped) == 51  # what came afterwards was not kept to be dropped


def test_of_a_trace_of_thousands_a_thousand_spans_are_kept_and_what_failed(outbox: Any) -> None:
    sidecar = Sidecar(service="test", trace_ratio=0.1)
    inner = sidecar.wrap(lambda: None, plugin="q", version="1", operation="inner")

    def fail() -> None:
        raise ValueError

    failing = sidecar.wrap(fail, plugin="q", version="1", operation="failing", breaker=False)

    def run() -> None:
        for _ in range(10):
            for _ in range(500):
                inner()
            sidecar._pipeline.totals()  # folds
        with contextlib.suppress(ValueError):
            failing()

    sidecar.wrap(run, plugin="p", version="1", operation="run")()
    assert sidecar.close(timeout=10)  # they are left out as those of a trace that is not kept are: none is lost
    assert outbox.calls(plugin_id="q", plugin_outcome="success") == 5_000
    spans = {span.span_id: span for span in outbox.spans_sent}
    (root,) = (span for span in spans.values() if span.name == "p run")
    below = Counter(span.name for span in spans.values() if span.parent_id == root.span_id)
    assert below == {"q inner": 1_000, "q failing": 1}
    assert root.attributes["plugin.trace.cut"] is True
    assert not any("plugin.trace.cut" in span.attributes for span in spans.values() if span is not root)


def test_a_trace_that_was_decided_on_before_its_root_ended_says_that_it_is_cut(outbox: Any) -> None:
    sidecar = Sidecar(service="test", trace_ratio=0.1)
    inner = sidecar.wrap(lambda: None, plugin="q", version="1", operation="inner")

    def fail() -> None:
        raise ValueError

    failing = sidecar.wrap(fail, plugin="q", version="1", operation="failing", breaker=False)

    def run() -> None:
        with contextlib.suppress(ValueError):
            failing()
        for _ in range(3):
            for _ in range(1_000):
                inner()
            sidecar._pipeline.totals()
        sidecar._pipeline.drain.cut(everything=True, heartbeat=False)

    sidecar.wrap(run, plugin="p", version="1", operation="run")()
    assert sidecar.close(timeout=10)
    (root,) = (span for span in outbox.spans_sent if span.name == "p run")
    assert root.attributes["plugin.trace.cut"] is True


def test_what_a_generator_leaves_to_others_has_ids_of_its_own(thrifty: Sidecar, outbox: Any) -> None:
    kept: list[contextvars.Context] = []

    def steps(keep: bool) -> Iterator[int]:
        if keep:
            kept.append(contextvars.copy_context())
        yield from range(3)

    call = thrifty.wrap(steps, plugin="p", version="1", operation="x")
    (operation,) = thrifty.operations
    appended: list[Any] = []
    append, operation.append = operation.append, lambda found: (appended.append(found), append(found))[1]
    for _ in range(200):
        assert list(call(False)) == [0, 1, 2]
    assert (
        len(appended) < 50
    )  # the slowest up to each; nobody held the others, and their durations are all there is to them
    before = len(appended)
    for _ in range(100):
        list(call(True))
    assert len(appended) - before == 100
    seen = {context.run(lambda: trace.get_current_span().get_span_context().span_id) for context in kept}
    assert len(seen) == 100
    assert thrifty.flush(timeout=5)
    assert outbox.calls(plugin_id="p") == 300


def test_durations_that_nobody_folds_are_folded_by_the_caller(
    thrifty: Sidecar, outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "QUEUE_LIMIT", 1_000)
    monkeypatch.setattr(drain_module, "DRAIN_SECONDS", 60.0)
    call = thrifty.wrap(lambda: None, plugin="p", version="1", operation="x")
    (operation,) = thrifty.operations
    most = 0
    for _ in range(30_000):
        call()
        most = max(most, len(operation.tally))
    assert most <= 1_000 + 64 * 32  # of the callers that look, every 32nd adds up what waits
    assert thrifty.flush(timeout=5)
    assert outbox.calls(plugin_id="p") == 30_000


def test_buckets_of_many_durations_are_those_of_each() -> None:
    durations = [0, 1, 999, 1_000, 123_456, 10**9, 10**15, 10**20]
    assert list(bucket_indexes_of_ns(durations)) == [bucket_index_of_ns(ns) for ns in durations]


def test_a_journal_holds_what_leaves_no_span_too(outbox: Any, tmp_path: Any) -> None:
    sidecar = Sidecar(service="test", trace_ratio=0.1, traces_per_second=1e9, state_dir=tmp_path)
    outer = sidecar.wrap(lambda: call(), plugin="p", version="1", operation="outer")
    call = sidecar.wrap(lambda: None, plugin="p", version="1", operation="x")
    for _ in range(64):
        call()
    journal = sidecar._pipeline.intake.journal
    assert journal is not None
    before = journal.head
    call_from_threads(3, call, calls=6_000)
    outer()
    assert journal.head - before == 18_002  # a word a call
    assert sidecar.flush(timeout=10)
    assert journal.folded == journal.head
    assert outbox.calls(plugin_id="p") == 64 + 18_002
    reasons = Counter(span.attributes["plugin.sample.reason"] for span in outbox.spans_sent)
    assert abs(reasons["ratio"] - 1_800) < 8 * 41
    sidecar.close(timeout=5)
