"""What a wrapped call costs: on the caller's thread, beside its peers, and for the whole process with every span sent.

All subjects take turns within each round, so that a noisy machine hits everyone alike; medians over the rounds, the bare
call taken off. "Clock + append" (two clock reads and a list append) is the least that any observation can cost on this
machine at this moment: ratios to it carry over to other machines, microseconds do not.

The whole-process part runs the SDK and the sidecar each in a process of its own, sending every span (and, the sidecar, the
share of spans that it keeps unless told otherwise) over HTTP to a sink in a third process, and reads the CPU time of the
whole process, background threads included.

With `--against DIR`, the `sidecar` folder of another checkout, the caller's table is made for that one too, in processes that
take turns with ours.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from load.sink import sink
from plugwarden import CallNotPermitted, Sidecar
from plugwarden.contract import Action, Directive, DirectiveSet, Scope

CALLS, ROUNDS = 2_000, 15
PROCESS_CALLS, PROCESS_ROUNDS = 20_000, 3
TARGET_US = 2.0
TARGETS_OF_SDK_PROCESS = {"sidecar, every span": 1 / 20, "sidecar, the share of spans kept by default": 1 / 30}
AGAINST_ROUNDS = 5
CLOCK_APPEND_US = 0.28
"""Two clock reads and an append when the targets were set; the target scales with what they cost now."""
LABELS = {"plugin.id": "p", "plugin.version": "1", "plugin.operation": "x"}


def work() -> None:
    """The plugin: as little as a call can do, so that all that is measured is ours."""


async def async_work() -> None:
    """The same as a coroutine."""


def fail() -> None:
    """A plugin that fails."""
    raise ValueError("x")


def per_call_us(call: Callable[[], Any], calls: int = CALLS) -> float:
    """Median of single calls on this thread, in µs, the clock's own cost included."""
    clock, times = time.perf_counter_ns, [0] * calls
    for number in range(calls):
        started = clock()
        call()
        times[number] = clock() - started
    return statistics.median(times) / 1000


async def per_call_async_us(call: Callable[[], Any], calls: int = CALLS) -> float:
    """The same for a coroutine function, awaited."""
    clock, times = time.perf_counter_ns, [0] * calls
    for number in range(calls):
        started = clock()
        await call()
        times[number] = clock() - started
    return statistics.median(times) / 1000


def catching(call: Callable[[], Any], kind: type[Exception]) -> Callable[[], None]:
    """A caller that expects an exception."""

    def caught() -> None:
        try:
            call()
        except kind:
            pass

    return caught


def offline() -> Sidecar:
    """A sidecar that encodes everything and sends it nowhere."""
    from plugwarden.pipeline import outlet

    class Nowhere(outlet.OtlpOutlet):
        def send(self, signal: str, data: bytes) -> outlet.Verdict:
            return outlet.Verdict.TAKEN

    outlet.make_outlet = Nowhere  # type: ignore[assignment]
    return Sidecar(service="benchmark")


def peers() -> dict[str, Callable[[], Any]]:
    """Name -> a call, as others observe or guard it."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from prometheus_client import CollectorRegistry, Counter, Histogram

    tracer = TracerProvider().get_tracer("benchmark")
    meter = MeterProvider([InMemoryMetricReader()]).get_meter("benchmark")
    latency, calls = meter.create_histogram("latency"), meter.create_counter("calls")

    def with_sdk() -> None:
        started = time.perf_counter()
        with tracer.start_as_current_span("p x", attributes=LABELS):
            work()
        latency.record(time.perf_counter() - started, LABELS)
        calls.add(1, LABELS)

    registry = CollectorRegistry()
    histogram = Histogram("latency", "…", ["plugin", "version", "operation"], registry=registry)
    counter = Counter("calls", "…", ["plugin", "version", "operation"], registry=registry)

    def with_prometheus() -> None:
        started = time.perf_counter()
        work()
        histogram.labels("p", "1", "x").observe(time.perf_counter() - started)
        counter.labels("p", "1", "x").inc()

    times: deque[tuple[int, int]] = deque(maxlen=1000)
    clock = time.perf_counter_ns

    def clock_append() -> None:
        started = clock()
        work()
        times.append((started, clock()))

    found = {
        "clock + append": clock_append,
        "prometheus-client: histogram + counter": with_prometheus,
        "OpenTelemetry SDK: span + histogram + counter": with_sdk,
    }
    for name, make in {
        "pybreaker": _with_pybreaker,
        "purgatory": _with_purgatory,
        "logfire": _with_logfire,
        "ddtrace": _with_ddtrace,
    }.items():
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed and left out: pip install {name}", file=sys.stderr)
        else:
            label, call = make()
            found[label] = call
    return found


def _with_pybreaker() -> tuple[str, Callable[[], Any]]:
    import pybreaker

    return "pybreaker", pybreaker.CircuitBreaker()(work)


def _with_purgatory() -> tuple[str, Callable[[], Any]]:
    import purgatory

    return "purgatory", purgatory.SyncCircuitBreakerFactory()("benchmark")(work)


def _with_logfire() -> tuple[str, Callable[[], Any]]:
    import logfire

    here = logfire.configure(local=True, send_to_logfire=False, console=False, metrics=False, inspect_arguments=False)

    def call() -> None:
        with here.span("p x", **LABELS):
            work()

    return "logfire: span, sent nowhere", call


def _with_ddtrace() -> tuple[str, Callable[[], Any]]:
    # Its agent is on loopback where there is one; nothing is sent when none answers.
    os.environ.setdefault("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
    os.environ.setdefault("DD_REMOTE_CONFIGURATION_ENABLED", "false")
    os.environ["DD_TRACE_AGENT_URL"] = "http://127.0.0.1:9"
    from ddtrace.trace import tracer

    logging.getLogger("ddtrace").setLevel(logging.CRITICAL)

    def call() -> None:
        with tracer.trace("p x") as span:
            span.set_tags(LABELS)
            work()

    return "ddtrace: span", call


def ours(sidecar: Sidecar) -> dict[str, Callable[[], Any]]:
    """Name -> a call through the sidecar."""

    def wrap(function: Callable[[], Any], operation: str, **terms: Any) -> Callable[[], Any]:
        return sidecar.wrap(function, plugin="p", version="1", operation=operation, **{"bulkhead": 64, **terms})

    plain = wrap(work, "plain")
    inner = wrap(work, "inner")
    refused = sidecar.wrap(work, plugin="q", version="1", operation="refused")
    sidecar._apply(DirectiveSet("e", 1, (Directive("d", Action.ISOLATE, Scope("q")),)))
    return {
        "sidecar: sync": plain,
        "sidecar: sync, with a deadline": wrap(work, "deadline", timeout=5.0),
        "sidecar: nested (the inner call)": wrap(inner, "outer"),
        "sidecar: raising": catching(wrap(fail, "raising", breaker=False), ValueError),
        "sidecar: refused": catching(refused, CallNotPermitted),
    }


def caller_table() -> dict[str, float]:
    """Name -> µs per call on the caller's thread, the bare call taken off."""
    sidecar = offline()
    subjects = {"bare": work, **peers(), **ours(sidecar)}
    async_subjects = {
        "bare async": async_work,
        "sidecar: async": sidecar.wrap(async_work, plugin="p", version="1", operation="async", bulkhead=64),
    }
    times: dict[str, list[float]] = {name: [] for name in [*subjects, *async_subjects]}
    for number in range(ROUNDS):
        for name, call in subjects.items():
            times[name].append(per_call_us(call))
        for name, call in async_subjects.items():
            times[name].append(asyncio.run(per_call_async_us(call)))
        progress(f"round {number + 1} of {ROUNDS}")
    sidecar.close(timeout=10)
    medians = {name: statistics.median(values) for name, values in times.items()}
    bare, bare_async, bare_raising = (
        medians.pop("bare"),
        medians.pop("bare async"),
        per_call_us(catching(fail, ValueError)),
    )
    off = {"sidecar: async": bare_async, "sidecar: raising": bare_raising}
    off["sidecar: nested (the inner call)"] = medians["sidecar: sync"]
    return {name: value - off.get(name, bare) for name, value in medians.items()}


def thread_table() -> dict[int, tuple[float, float]]:
    """Threads -> (calls a second bare, calls a second through the sidecar), all threads together."""
    found = {}
    for count in (1, 4, 16):
        rates = []
        for wrapped in (False, True):
            sidecar = offline()
            call = (
                sidecar.wrap(thread_work, plugin="p", version="1", operation="t", bulkhead=64)
                if wrapped
                else thread_work
            )
            share = 20_000 // count

            def run(call: Callable[[], Any] = call, share: int = share) -> None:
                for _ in range(share):
                    call()

            threads = [threading.Thread(target=run) for _ in range(count)]
            started = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rates.append(share * count / (time.perf_counter() - started))
            sidecar.close(timeout=10)
        found[count] = (rates[0], rates[1])
        progress(f"{count} threads")
    return found


def thread_work() -> None:
    """50 µs of a plugin's own work, so that what is compared is not only locks."""
    until = time.perf_counter_ns() + 50_000
    while time.perf_counter_ns() < until:
        pass


def subject_process(kind: str, endpoint: str) -> None:
    """In a process of its own: make the calls, have everything sent, and print the CPU µs per call."""
    logging.disable()
    if kind == "sdk":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider()
        provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces"), max_queue_size=4 * PROCESS_CALLS)
        )
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"), 5_000)
        tracer, meter = provider.get_tracer("benchmark"), MeterProvider([reader]).get_meter("benchmark")
        latency, calls = meter.create_histogram("latency"), meter.create_counter("calls")

        def call() -> None:
            started = time.perf_counter()
            with tracer.start_as_current_span("p x", attributes=LABELS):
                work()
            latency.record(time.perf_counter() - started, LABELS)
            calls.add(1, LABELS)

        def flush() -> None:
            provider.force_flush()
            reader.force_flush()

    elif kind != "bare":
        share = {"trace_ratio": 1.0} if kind == "sidecar, every span" else {}
        sidecar = Sidecar(service="benchmark", endpoint=endpoint, **share)
        call = sidecar.wrap(work, plugin="p", version="1", operation="x", bulkhead=64)

        def flush() -> None:
            assert sidecar.flush(timeout=60)
            assert not sidecar._pipeline._tally.drops, sidecar._pipeline._tally.drops

    else:
        call, flush = work, lambda: None
    for _ in range(200):
        call()
    flush()
    spent = time.process_time()
    for number in range(PROCESS_CALLS):
        call()
        if number % 200 == 0:
            time.sleep(0.004)  # a busy host, not a saturated one
    flush()
    print((time.process_time() - spent) / PROCESS_CALLS * 1e6, flush=True)
    os._exit(0)  # what the SDK does at exit is not per call


def process_table() -> dict[str, float]:
    """Kind -> CPU µs per call of the whole process, every span sent, the bare loop taken off."""
    times: dict[str, list[float]] = {kind: [] for kind in ("bare", "sdk", *TARGETS_OF_SDK_PROCESS)}
    with sink() as endpoint:
        for number in range(PROCESS_ROUNDS):
            for kind, values in times.items():
                command = [sys.executable, "-W", "ignore", __file__, "--subject", kind, endpoint]
                done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
                values.append(float(done.stdout))
            progress(f"whole process, round {number + 1} of {PROCESS_ROUNDS}")
    medians = {kind: statistics.median(values) for kind, values in times.items()}
    return {kind: medians[kind] - medians["bare"] for kind in ("sdk", *TARGETS_OF_SDK_PROCESS)}


def ours_alone() -> dict[str, float]:
    """Name -> µs per call of our own subjects on this thread, the bare call taken off."""
    sidecar = offline()
    subjects = {"bare": work, **ours(sidecar)}
    call = sidecar.wrap(async_work, plugin="p", version="1", operation="async", bulkhead=64)
    times: dict[str, list[float]] = {name: [] for name in [*subjects, "bare async", "sidecar: async"]}
    for _ in range(5):
        for name, subject in subjects.items():
            times[name].append(per_call_us(subject))
        times["bare async"].append(asyncio.run(per_call_async_us(async_work)))
        times["sidecar: async"].append(asyncio.run(per_call_async_us(call)))
    sidecar.close(timeout=10)
    medians = {name: statistics.median(values) for name, values in times.items()}
    bare, bare_async = medians.pop("bare"), medians.pop("bare async")
    off = {"sidecar: async": bare_async, "sidecar: nested (the inner call)": medians["sidecar: sync"]}
    return {name: value - off.get(name, bare) for name, value in medians.items()}


def against_table(other: str) -> dict[str, tuple[float, float]]:
    """Name -> (µs with the other checkout's sidecar, µs with this one)."""
    here = str(Path(__file__).resolve().parent.parent / "sidecar")
    found: dict[str, dict[str, list[float]]] = {other: {}, here: {}}
    for number in range(AGAINST_ROUNDS):
        for folder, times in found.items():
            environ = {**os.environ, "PYTHONPATH": folder}
            command = [sys.executable, "-W", "ignore", __file__, "--ours"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, env=environ)
            for name, value in json.loads(done.stdout).items():
                times.setdefault(name, []).append(value)
        progress(f"against another, round {number + 1} of {AGAINST_ROUNDS}")
    return {
        name: (statistics.median(found[other][name]), statistics.median(values)) for name, values in found[here].items()
    }


def progress(text: str) -> None:
    """Say how far it is, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r{text:<40}", end="", file=sys.stderr, flush=True)


def lines(
    callers: dict[str, float], threads: dict[int, tuple[float, float]], process: dict[str, float]
) -> Iterator[str]:
    """The tables, at 80 columns."""
    sdk, floor = callers["OpenTelemetry SDK: span + histogram + counter"], callers["clock + append"]
    yield f"Caller's thread, µs per call: median of {ROUNDS} rounds of medians of {CALLS} calls"
    yield f"{'':<48}{'µs':>8}{'of SDK':>9}{'x floor':>9}"
    for name, value in callers.items():
        yield f"{name:<48}{value:>8.2f}{value / sdk:>9.3f}{value / floor:>9.1f}"
    allowed = TARGET_US / CLOCK_APPEND_US
    ratio = callers["sidecar: sync"] / floor
    yield f"target: {TARGET_US:g} µs where the floor is {CLOCK_APPEND_US} µs = {allowed:.1f} x floor; "
    yield f"        sync is {callers['sidecar: sync']:.2f} µs = {ratio:.1f} x floor: {'met' if ratio <= allowed else 'MISSED'}"
    yield ""
    yield "Threads calling a plugin that works for 50 µs: calls/s, all threads"
    yield f"{'threads':>8}{'bare':>12}{'sidecar':>12}{'ratio':>8}"
    for count, (bare, wrapped) in threads.items():
        yield f"{count:>8}{bare:>12,.0f}{wrapped:>12,.0f}{wrapped / bare:>8.2f}"
    yield ""
    yield f"Whole process: CPU µs per call; the OpenTelemetry SDK with every span {process['sdk']:.1f}"
    for kind, target in TARGETS_OF_SDK_PROCESS.items():
        share = process[kind] / process["sdk"]
        yield f"{kind}: {process[kind]:.1f} = {share:.3f} of the SDK's"
        yield f"target: at most {target:.3f}: {'met' if share <= target else 'MISSED'}"


def main() -> None:
    """Print the tables; `--json` for programs."""
    if "--subject" in sys.argv:
        subject_process(*sys.argv[2:4])
        return
    if "--ours" in sys.argv:
        print(json.dumps(ours_alone()), flush=True)
        os._exit(0)
    if "--against" in sys.argv:
        print(f"{'caller, µs per call':<48}{'other':>8}{'this':>8}{'ratio':>8}")
        for name, (other, this) in against_table(sys.argv[sys.argv.index("--against") + 1]).items():
            print(f"{name:<48}{other:>8.2f}{this:>8.2f}{this / other:>8.2f}")
        return
    callers, threads, process = caller_table(), thread_table(), process_table()
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps({"caller_us": callers, "threads_calls_per_second": threads, "process_cpu_us": process}))
        return
    print("\n".join(lines(callers, threads, process)))


if __name__ == "__main__":
    main()
