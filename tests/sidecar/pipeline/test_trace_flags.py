"""A host's own decision not to sample holds for all that is below it, in this process and in others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from plugwarden import Sidecar
from plugwarden import invocation as invocation_module
from plugwarden.integrations.command import command

from tests.sidecar.support import worker_plugins as plugins


@pytest.fixture
def tracer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracer]:
    provider = TracerProvider(sampler=ParentBased(request.param))
    monkeypatch.setattr(invocation_module, "get_tracer_provider", lambda: provider)  # a process has one, for good
    yield provider.get_tracer("host")  # type: ignore[misc]
    provider.shutdown()


def seen(sidecar: Sidecar, tracer: Tracer) -> Any:
    """A plugin, in a plugin, that tells whether its own span and its request to another process are sampled."""

    def inner() -> tuple[bool, bool]:
        headers: dict[str, str] = {}
        inject(headers)
        with tracer.start_as_current_span("inside") as span:
            return span.get_span_context().trace_flags.sampled, headers["traceparent"].endswith(("1", "3"))

    wrapped = sidecar.wrap(inner, plugin="p", version="1", operation="inner")
    return sidecar.wrap(lambda: wrapped(), plugin="p", version="1", operation="outer")


@pytest.mark.parametrize("tracer", [ALWAYS_OFF], indirect=True)
def test_below_a_span_that_is_not_sampled_nothing_is(sidecar: Sidecar, tracer: Tracer) -> None:
    with tracer.start_as_current_span("request"):
        assert seen(sidecar, tracer)() == (False, False)


@pytest.mark.parametrize(("tracer", "sampled"), [(ALWAYS_OFF, False), (ALWAYS_ON, True)], indirect=["tracer"])
def test_a_program_and_a_worker_process_are_told_whether_the_trace_is_sampled(
    sidecar: Sidecar, tracer: Tracer, sampled: bool
) -> None:
    program = command(sidecar, ["sh", "-c", "echo $TRACEPARENT"], plugin="p", version="1", operation="program")
    worker = sidecar.wrap(plugins.traceparent_of_a_child, plugin="p", version="1", runner="process", timeout=20.0)
    with tracer.start_as_current_span("request") as span:
        told = [program().stdout.decode().strip(), worker()]
        trace_id = f"{span.get_span_context().trace_id:032x}"
    for one in told:
        _, trace, _, flags = one.split("-")
        assert (trace, bool(int(flags, 16) & 1)) == (trace_id, sampled)


@pytest.mark.parametrize(("tracer", "sampled"), [(ALWAYS_OFF, False), (ALWAYS_ON, True)], indirect=["tracer"])
def test_without_a_span_around_the_hosts_sampler_decides(sidecar: Sidecar, tracer: Tracer, sampled: bool) -> None:
    assert seen(sidecar, tracer)() == (sampled, sampled)


@pytest.mark.parametrize("tracer", [ALWAYS_ON], indirect=True)
def test_a_sampled_span_keeps_its_flags(sidecar: Sidecar, tracer: Tracer) -> None:
    with tracer.start_as_current_span("request") as span:
        wrapped = sidecar.wrap(
            lambda: trace.get_current_span().get_span_context(), plugin="p", version="1", operation="x"
        )
        assert wrapped().trace_flags == span.get_span_context().trace_flags


def test_a_sampler_that_fails_harms_nobody(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError

        def get_description(self) -> str:
            return "broken"

    monkeypatch.setattr(invocation_module, "get_tracer_provider", lambda: TracerProvider(sampler=Broken()))

    async def work() -> bool:
        return trace.get_current_span().get_span_context().trace_flags.sampled

    assert asyncio.run(sidecar.wrap(work, plugin="p", version="1")()) is True  # type: ignore[arg-type]
