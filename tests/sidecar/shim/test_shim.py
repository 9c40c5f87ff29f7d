"""Wrapping changes nothing that a caller can see, and everything is recorded."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import pickle
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from plugwarden import BreakerPolicy, CallNotPermitted, ConfigurationError, PluginQuarantined, Sidecar
from plugwarden.contract import Action, Directive, DirectiveSet, Scope

from tests.sidecar.support.crowd import call_from_threads


def isolate(sidecar: Sidecar, scope: Scope) -> None:
    directive = Directive("q-1", Action.ISOLATE, scope, reason="it fails")
    sidecar._apply(DirectiveSet("e", sidecar.directives.revision + 1, (directive,)))


def test_a_function_keeps_result_name_and_docstring(sidecar: Sidecar, outbox: Any) -> None:
    @sidecar.plugin("csv", version="1", operation="export")
    def export(rows: int, *, factor: int = 2) -> int:
        """Exports."""
        return rows * factor

    assert export(3, factor=5) == 15
    assert (export.__name__, export.__doc__) == ("export", "Exports.")
    assert sidecar.flush()
    assert outbox.calls(plugin_id="csv", plugin_outcome="success") == 1


def test_the_callers_exception_is_the_plugins_own(sidecar: Sidecar, outbox: Any) -> None:
    error = ValueError("bad row")

    def fail() -> None:
        raise error

    wrapped = sidecar.wrap(fail, plugin="csv", version="1")
    with pytest.raises(ValueError, match="bad row") as caught:
        wrapped()
    assert caught.value is error
    assert caught.value.__cause__ is None
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", error_type="ValueError") == 1
    span = outbox.spans_sent[0]
    assert span.attributes["plugin.error.source"] == "plugin"
    assert "bad row" in span.events[0].attributes["exception.stacktrace"]


def test_base_exceptions_pass_through_recorded(sidecar: Sidecar, outbox: Any) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sidecar.wrap(interrupted, plugin="csv", version="1", fallback=lambda: None)()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="cancelled") == 1


def test_a_coroutine_is_awaited_in_its_own_context(sidecar: Sidecar, outbox: Any) -> None:
    async def work(n: int) -> int:
        before = trace.get_current_span()
        await asyncio.sleep(0)
        assert trace.get_current_span() is before
        return n

    wrapped = sidecar.wrap(work, plugin="geo", version="1")

    async def main() -> list[int]:
        return await asyncio.gather(*(wrapped(n) for n in range(50)))

    assert asyncio.run(main()) == list(range(50))
    assert sidecar.flush()
    assert outbox.calls(plugin_id="geo", plugin_outcome="success") == 50
    assert len({span.span_id for span in outbox.spans_sent}) == 50


def test_a_coroutine_is_cancelled_at_its_deadline(sidecar: Sidecar, outbox: Any) -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    wrapped = sidecar.wrap(hang, plugin="geo", version="1", timeout=0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(wrapped())
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="timeout", plugin_error_source="plugin") == 1


def test_a_deadline_that_strikes_in_a_downstream_is_the_downstreams_fault(sidecar: Sidecar, outbox: Any) -> None:
    async def ask() -> None:
        async with sidecar.downstream("geo-api"):
            await asyncio.sleep(60)

    wrapped = sidecar.wrap(ask, plugin="geo", version="1", timeout=0.01)
    with pytest.raises(TimeoutError):
        asyncio.run(wrapped())
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="timeout", plugin_error_source="downstream") == 1
    waits = [span for span in outbox.spans_sent if span.attributes.get("plugin.downstream") == "geo-api"]
    assert len(waits) == 1


def test_a_generator_hands_on_values_sends_throws_and_its_return_value(sidecar: Sidecar, outbox: Any) -> None:
    def talk() -> Generator[Any, Any, str]:
        got = yield 1
        try:
            yield got * 2
        except LookupError:
            yield "caught"
        return "end"

    wrapped = sidecar.wrap(talk, plugin="gen", version="1")()
    assert next(wrapped) == 1
    assert wrapped.send(21) == 42
    assert wrapped.throw(LookupError()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(wrapped)
    assert stop.value.value == "end"
    assert sidecar.flush()
    assert outbox.calls(plugin_id="gen", plugin_outcome="success") == 1


def test_a_generator_closed_early_is_closed_inside_too(sidecar: Sidecar, outbox: Any) -> None:
    closed = []

    def count() -> Generator[int, None, None]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    wrapped = sidecar.wrap(count, plugin="gen", version="1")()
    assert next(wrapped) == 0
    wrapped.close()
    assert closed == [True]
    assert trace.get_current_span().get_span_context().is_valid is False
    assert sidecar.flush()
    assert outbox.calls(plugin_id="gen", plugin_outcome="success") == 1


def test_an_async_generator_is_observed_as_a_whole(sidecar: Sidecar, outbox: Any) -> None:
    async def items() -> AsyncIterator[int]:
        for n in range(3):
            await asyncio.sleep(0)
            yield n

    wrapped = sidecar.wrap(items, plugin="gen", version="1")

    async def main() -> list[int]:
        return [item async for item in wrapped()]

    assert asyncio.run(main()) == [0, 1, 2]
    assert sidecar.flush()
    assert outbox.calls(plugin_id="gen", plugin_outcome="success") == 1


def test_spans_nest_with_the_hosts_and_the_plugins_own(sidecar: Sidecar, outbox: Any) -> None:
    provider = TracerProvider()
    provider.add_span_processor(sidecar.span_processor())
    tracer = provider.get_tracer("host")

    def work() -> None:
        with tracer.start_as_current_span("inside"):
            pass

    wrapped = sidecar.wrap(work, plugin="csv", version="1", operation="export")
    with tracer.start_as_current_span("outside"):
        wrapped()
    assert sidecar.flush()
    spans = {span.name: span for span in outbox.spans_sent}
    assert spans["csv export"].parent_id == spans["outside"].span_id
    assert spans["inside"].parent_id == spans["csv export"].span_id
    assert len({span.trace_id for span in spans.values()}) == 1


def test_a_nested_plugins_failure_is_not_blamed_on_the_outer_one(sidecar: Sidecar, outbox: Any) -> None:
    def inner() -> None:
        raise RuntimeError("inner")

    wrapped_inner = sidecar.wrap(inner, plugin="inner", version="1")
    wrapped_outer = sidecar.wrap(lambda: wrapped_inner(), plugin="outer", version="1", operation="run")
    with pytest.raises(RuntimeError):
        wrapped_outer()
    assert sidecar.flush()
    assert outbox.calls(plugin_id="inner", plugin_error_source="plugin") == 1
    assert outbox.calls(plugin_id="outer", plugin_error_source="downstream") == 1


def test_a_task_groups_failures_are_looked_into(sidecar: Sidecar, outbox: Any) -> None:
    async def wait(fail: bool) -> None:
        async with sidecar.downstream("registry"):
            await asyncio.sleep(0 if fail else 60)
            raise ConnectionError

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait(True))
            group.create_task(wait(False))

    wrapped = sidecar.wrap(both, plugin="geo", version="1", operation="x")
    with pytest.raises(ExceptionGroup):
        asyncio.run(wrapped())
    assert sidecar.flush()
    assert outbox.calls(plugin_id="geo", plugin_outcome="error", plugin_error_source="downstream") == 1


def test_what_a_decorator_made_of_a_generator_stays_that(sidecar: Sidecar) -> None:
    @contextlib.contextmanager
    def managed() -> Iterator[int]:
        yield 7

    with sidecar.wrap(managed, plugin="csv", version="1", operation="x")() as value:
        assert value == 7

    async def work() -> int:
        return 5

    @functools.wraps(work)
    def in_a_task() -> Any:
        return asyncio.ensure_future(work())

    async def main() -> int:
        return int(await sidecar.wrap(in_a_task, plugin="csv", version="1", operation="y")())

    assert asyncio.run(main()) == 5


def test_wrong_arguments_are_a_counted_failure(sidecar: Sidecar, outbox: Any) -> None:
    async def work(one: int) -> None: ...

    wrapped: Any = sidecar.wrap(work, plugin="csv", version="1", operation="x")
    with pytest.raises(TypeError):
        asyncio.run(wrapped())
    assert next(iter(sidecar.operations)).running == set()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", error_type="TypeError") == 1


def test_an_isolated_plugin_answers_with_its_fallback(sidecar: Sidecar, outbox: Any) -> None:
    ran = []
    wrapped = sidecar.wrap(
        lambda n: ran.append(n), plugin="csv", version="2", operation="x", fallback=lambda n: f"instead of {n}"
    )
    isolate(sidecar, Scope("csv", "2"))
    assert wrapped(7) == "instead of 7"
    assert ran == []
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="rejected", plugin_rejection_reason="quarantined") == 1


def test_an_isolated_plugin_without_fallback_raises_with_the_facts(sidecar: Sidecar) -> None:
    wrapped = sidecar.wrap(lambda: None, plugin="csv", version="2", operation="x")
    isolate(sidecar, Scope("csv"))
    with pytest.raises(PluginQuarantined) as caught:
        wrapped()
    assert caught.value.directive_id == "q-1"
    assert caught.value.explanation == "it fails"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.scope, again.directive_id, str(again)) == (caught.value.scope, "q-1", str(caught.value))


def test_a_tenants_quarantine_leaves_the_others_alone(sidecar: Sidecar) -> None:
    wrapped = sidecar.wrap(lambda: "ran", plugin="csv", version="2", operation="x")
    isolate(sidecar, Scope("csv", tenant="acme"))
    assert wrapped() == "ran"
    with sidecar.tenant("acme"), pytest.raises(PluginQuarantined):
        wrapped()


def test_a_failing_plugin_with_a_fallback_is_counted_as_failing(sidecar: Sidecar, outbox: Any) -> None:
    def fail() -> str:
        raise OSError

    assert sidecar.wrap(fail, plugin="csv", version="1", fallback=lambda: "saved")() == "saved"
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error") == 1


def test_the_breaker_refuses_after_repeated_failures(sidecar: Sidecar, outbox: Any) -> None:
    def fail() -> None:
        raise OSError

    wrapped = sidecar.wrap(fail, plugin="csv", version="1")
    for _ in range(9):
        with pytest.raises(OSError):
            wrapped()
    with pytest.raises(CallNotPermitted) as caught:
        wrapped()
    assert caught.value.retry_after_seconds
    assert sidecar.flush()
    assert outbox.calls(plugin_rejection_reason="circuit.open") + outbox.calls(plugin_outcome="rejected") == 1
    assert any("closed → open" in record.body for record in outbox.logs_sent)


def test_a_host_can_have_breakers_only_where_they_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError

    monkeypatch.setenv("PLUGWARDEN_BREAKERS", "off")
    sidecar = Sidecar(service="test")
    try:
        plain = sidecar.wrap(fail, plugin="csv", version="1", operation="plain")
        declared = sidecar.wrap(fail, plugin="csv", version="1", operation="declared", breaker=True)
        for _ in range(30):
            with pytest.raises(OSError):
                plain()
        assert sidecar.breaker("csv", "1", "plain") is None
        for _ in range(9):
            with pytest.raises(OSError):
                declared()
        with pytest.raises(CallNotPermitted):
            declared()
    finally:
        sidecar.close(0.1)


def test_a_switch_that_says_neither_on_nor_off_is_named() -> None:
    with pytest.raises(ConfigurationError, match="breakers: 'observe' is neither on nor off"):
        Sidecar(service="test", breakers="observe")


def test_a_fault_of_the_shims_own_never_reaches_the_host(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = sidecar.wrap(lambda: "ran", plugin="csv", version="1", operation="x")
    operation = next(iter(sidecar.operations))

    def broken(*args: object) -> None:
        raise RuntimeError("a bug in the shim")

    for part in ("admission.decide", "settlement.settle"):
        with monkeypatch.context() as patch:
            patch.setattr(f"plugwarden.{part}", broken)
            operation.calls = 0  # the next call is one of those that are looked at closely
            assert wrapped() == "ran"
    assert operation.faults == 2
    assert operation.running == set()


def test_what_a_plugin_logs_carries_its_ids(sidecar: Sidecar, outbox: Any) -> None:
    logger = logging.getLogger("test.plugin")
    handler = sidecar.log_handler()
    logger.addHandler(handler)
    try:
        sidecar.wrap(lambda: logger.warning("look at %s", "this"), plugin="csv", version="1", operation="x")()
        logger.warning("the host's own")
    finally:
        logger.removeHandler(handler)
    assert sidecar.flush()
    records = outbox.logs_sent
    assert [record.body for record in records] == ["look at this"]
    assert records[0].attributes["plugin.id"] == "csv"
    assert records[0].span_id == outbox.spans_sent[0].span_id


def test_every_call_of_many_threads_is_counted(sidecar: Sidecar, outbox: Any) -> None:
    wrapped = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
    call_from_threads(8, wrapped, calls=5_000)
    assert sidecar.flush(timeout=20)
    assert outbox.calls(plugin_id="csv") == 40_000


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"plugin": "", "version": "1"}, "plugin"),
        ({"plugin": "a", "version": 1}, "version"),
        ({"plugin": "a", "version": "1", "timeout": 0}, "timeout"),
        ({"plugin": "a", "version": "1", "fallback": 5}, "fallback"),
        ({"plugin": "a", "version": "1", "breaker": {"failure_rate": 0.3}}, "breaker: .* is neither a BreakerPolicy"),
        (
            {"plugin": "a", "version": "1", "breaker": BreakerPolicy(slow_call_rate=0.5)},
            "slow_call_rate: no call is ever slow",
        ),
    ],
)
def test_a_wrong_argument_is_named_at_wrap_time(sidecar: Sidecar, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        sidecar.wrap(lambda: None, **arguments)


def test_disabled_means_the_function_itself() -> None:
    def work() -> None: ...

    disabled = Sidecar(disabled=True)
    assert disabled.wrap(work, plugin="a", version="1") is work
    with disabled.invocation("a", version="1", operation="x"):
        pass
    assert not disabled.operations
