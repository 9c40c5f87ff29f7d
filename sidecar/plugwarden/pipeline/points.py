"""What one interval has to tell, as points by instrumentation scope and metric; encoders turn them into bytes or objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.util.types import AttributeValue

from plugwarden.contract import attributes, metrics
from plugwarden.invocation import Invocation

from .aggregate import Cell, CellKey, MetricBatch
from .processors import processors

if TYPE_CHECKING:
    from plugwarden.declaration import Declaration
    from plugwarden.operation import Operation

__all__ = ["OWN_SCOPE", "SPECS", "HistogramPoint", "NumberPoint", "Points", "ScopeName", "gather", "scope_of"]

GAUGES_AGAIN_NS = 50_000_000_000
"""Gauges of an operation that are as they were are told again this often, for most operations are idle most of the time: with the interval
of five seconds at the end of which they are told, each minute of the clock has one."""
ScopeName = tuple[str, str | None]
"""An instrumentation scope: the plugin and its version, or the sidecar itself."""
OWN_SCOPE: ScopeName = ("plugwarden", None)
SPECS = {spec.name: spec for spec in metrics.ALL}


class NumberPoint(NamedTuple):
    """One value of a sum or gauge."""

    labels: Mapping[str, AttributeValue]
    start_ns: int
    end_ns: int
    value: float


class HistogramPoint(NamedTuple):
    """One distribution of an exponential histogram."""

    labels: Mapping[str, AttributeValue]
    start_ns: int
    end_ns: int
    cell: Cell


Points = dict[ScopeName, dict[str, list[NumberPoint | HistogramPoint]]]
"""Scope -> metric -> its points."""


def gather(batch: MetricBatch, operations: Iterable[Operation], *, gauges: bool) -> Points:
    """One interval as delta points, in one scope per plugin version; gauges as of now if asked."""
    start, end = batch.start_ns, batch.end_ns
    found: Points = {}

    def put(scope: ScopeName, metric: str, point: NumberPoint | HistogramPoint) -> None:
        found.setdefault(scope, {}).setdefault(metric, []).append(point)

    caller_overhead = 0.0
    for key, cell in batch.cells.items():
        scope = scope_of(key.operation)
        labels = _cell_attributes(key)
        if key.downstream is not None:
            put(scope, metrics.DOWNSTREAM_DURATION.name, HistogramPoint(labels, start, end, cell))
            continue
        put(scope, metrics.INVOCATION_DURATION.name, HistogramPoint(labels, start, end, cell))
        if cell.cpu_calls or cell.cpu_settled_ns:
            put(scope, metrics.CPU_TIME.name, NumberPoint(labels, start, end, cell.cpu_seconds_estimate))
        if key.rejection is not None:
            put(scope, metrics.REJECTIONS.name, NumberPoint(labels, start, end, cell.count))
        caller_overhead += cell.overhead_seconds_estimate
    for (operation, answer), count in batch.fallbacks.items():
        labels = {**operation_attributes(operation), attributes.PLUGIN_FALLBACK_ANSWER: answer}
        put(scope_of(operation), metrics.FALLBACKS.name, NumberPoint(labels, start, end, count))
    for (operation, metric, label), value in batch.sums.items():
        labels = {**operation_attributes(operation), **({attributes.PLUGIN_WORKER_END: label} if label else {})}
        put(scope_of(operation), metric, NumberPoint(labels, start, end, value))
    if gauges:
        for operation in operations:
            told = tuple(operation_gauges(operation))
            if told == operation.told and end - operation.told_ns < GAUGES_AGAIN_NS:
                continue
            operation.told, operation.told_ns = told, end
            scope, labels = scope_of(operation), operation_attributes(operation)
            for name, more, value in told:
                put(scope, name, NumberPoint({**labels, **more} if more else labels, 0, end, value))
    for (signal, reason), count in batch.dropped.items():
        labels = {attributes.PLUGIN_SIGNAL: signal, attributes.PLUGIN_DROP_REASON: reason}
        put(OWN_SCOPE, metrics.TELEMETRY_DROPPED.name, NumberPoint(labels, start, end, count))
    for part, seconds in (("background", batch.overhead_seconds), ("caller", caller_overhead)):
        if seconds:
            labels = {attributes.PLUGIN_OVERHEAD_PART: part}
            put(OWN_SCOPE, metrics.OVERHEAD.name, NumberPoint(labels, start, end, seconds))
    if batch.ending:
        put(OWN_SCOPE, metrics.ENDING.name, NumberPoint({}, 0, end, 1))
    return found


def operation_gauges(operation: Operation) -> Iterator[tuple[str, dict[str, AttributeValue], float]]:
    """(metric, further attributes, value) of what an operation is like now; what has nothing to say is left out."""
    running = tuple(operation.running)
    yield metrics.INVOCATION_ACTIVE.name, {}, len(running)
    yield metrics.QUARANTINE_STATE.name, {}, operation.quarantine_state.number
    if operation.breaker is not None:
        yield metrics.BREAKER_STATE.name, {}, operation.breaker.state.number
    declaration = operation.declaration
    if operation.bulkhead is not None:
        yield metrics.INVOCATION_WAITING.name, {}, len(operation.waiting)
    if declaration.runner == "thread":
        yield metrics.INVOCATION_ABANDONED.name, {}, sum(type(entry) is not Invocation for entry in running)
    used: Counter[str] = Counter()
    for runner in tuple(operation.runners):
        used.update(runner.stats())
    for name, value in used.items():
        yield name, {}, value
    about: dict[str, AttributeValue] = {attributes.PLUGIN_CRITICALITY: declaration.criticality.value}
    if declaration.owner:
        about[attributes.PLUGIN_OWNER] = declaration.owner
    if operation.rollback is not None:
        previous = operation.rollback.operation.scope.version or ""
        named = {**about, attributes.PLUGIN_TERM: "previous", attributes.PLUGIN_PREVIOUS_VERSION: previous}
        yield metrics.TERMS_DECLARED.name, named, 1
    objective = declaration.objective
    if objective is not None:
        for term, promised in (("availability", objective.availability), ("latency", objective.latency_seconds)):
            if promised is not None:
                yield metrics.TERMS_DECLARED.name, {**about, attributes.PLUGIN_TERM: term}, promised
    for term, declared, observed in (
        ("timeout", declaration.timeout_seconds, operation.longest_ns / 1e9),
        ("concurrency", declaration.expected_concurrency, operation.peak_running),
    ):
        if declared is not None:
            yield metrics.TERMS_DECLARED.name, {**about, attributes.PLUGIN_TERM: term}, declared
            yield metrics.TERMS_OBSERVED.name, {**about, attributes.PLUGIN_TERM: term}, observed
    if declaration.bulkhead is not None and declaration.expected_concurrency is None:
        yield metrics.TERMS_OBSERVED.name, {**about, attributes.PLUGIN_TERM: "concurrency"}, operation.peak_running
    if declaration.rate is not None:
        yield metrics.TERMS_OBSERVED.name, {**about, attributes.PLUGIN_TERM: "rate"}, operation.asked_per_second
    for term, held in _enforced(declaration):
        yield metrics.TERMS_ENFORCED.name, {**about, attributes.PLUGIN_TERM: term}, held


def _enforced(declaration: Declaration) -> Iterator[tuple[str, float]]:
    """(term, bound) of what the gate, the runner and the machine hold an operation to in this process."""
    if declaration.bulkhead is not None:
        yield "concurrency", declaration.bulkhead.concurrent
    if declaration.rate is not None:
        yield "rate", declaration.rate.calls_per_second
    quota = declaration.quota
    if quota is not None:
        for term, bound in (("cpu", quota.cpu_share), ("memory", quota.memory_bytes), ("output", quota.output_bytes)):
            if bound is not None:
                yield term, bound
    # With the gauges of operations, for these are told again each minute and a process has none of its own.
    yield "processors", processors()


def operation_attributes(operation: Operation) -> dict[str, AttributeValue]:
    """The three attributes that name an operation on every signal."""
    scope = operation.scope
    return {
        attributes.PLUGIN_ID: scope.plugin,
        attributes.PLUGIN_VERSION: scope.version or "",
        attributes.PLUGIN_OPERATION: scope.operation or "",
    }


def scope_of(operation: Operation) -> ScopeName:
    """The scope that an operation's telemetry stands in."""
    return operation.scope.plugin, operation.scope.version


def _cell_attributes(key: CellKey) -> dict[str, AttributeValue]:
    labels = operation_attributes(key.operation)
    labels[attributes.PLUGIN_OUTCOME] = key.outcome
    for name, value in (
        (attributes.PLUGIN_ERROR_SOURCE, key.source),
        (attributes.ERROR_TYPE, key.error_type),
        (attributes.PLUGIN_REJECTION_REASON, key.rejection),
        (attributes.TENANT_ID, key.tenant),
        (attributes.PLUGIN_DOWNSTREAM, key.downstream),
    ):
        if value is not None:
            labels[name] = value
    return labels
