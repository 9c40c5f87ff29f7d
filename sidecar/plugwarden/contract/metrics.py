"""The metrics a sidecar emits: name, unit (UCUM) and what one value means."""

from typing import Final

from .value import value

__all__ = [
    "ALL",
    "BREAKER_STATE",
    "CPU_SAMPLED_CALLS",
    "CPU_TIME",
    "DOWNSTREAM_DURATION",
    "ENDING",
    "FALLBACKS",
    "INVOCATION_ABANDONED",
    "INVOCATION_ACTIVE",
    "INVOCATION_DURATION",
    "INVOCATION_WAITING",
    "LOOP_BLOCKED",
    "MEMORY_PEAK",
    "MEMORY_USAGE",
    "OVERHEAD",
    "QUARANTINE_STATE",
    "REJECTIONS",
    "TELEMETRY_DROPPED",
    "TERMS_DECLARED",
    "TERMS_ENFORCED",
    "TERMS_OBSERVED",
    "WORKERS",
    "WORKER_CHILDREN",
    "WORKER_ENDS",
    "MetricSpec",
]

CPU_SAMPLED_CALLS = 64
"""Calls of which CPU time is read for one, a power of two: a read of the thread's CPU clock costs as much as all the rest of the record."""


@value
class MetricSpec:
    """One metric of the contract."""

    name: str
    """The OpenTelemetry metric name."""
    unit: str
    """The UCUM unit."""
    kind: str
    """`exponential_histogram`, `sum` (delta, monotonic) or `gauge`."""
    description: str
    """What one value means, in a sentence."""


INVOCATION_DURATION: Final = MetricSpec(
    "plugin.invocation.duration",
    "s",
    "exponential_histogram",
    "How long an invocation of a plugin operation took; counts every invocation.",
)
INVOCATION_ACTIVE: Final = MetricSpec(
    "plugin.invocation.active", "{invocation}", "gauge", "Invocations running at the moment of export."
)
REJECTIONS: Final = MetricSpec(
    "plugin.rejections", "{invocation}", "sum", "Invocations that the gate refused, by reason."
)
CPU_TIME: Final = MetricSpec(
    "plugin.cpu.time",
    "s",
    "sum",
    "CPU time on the calling thread, estimated: a share of invocations is measured and scaled to all.",
)
DOWNSTREAM_DURATION: Final = MetricSpec(
    "plugin.downstream.duration",
    "s",
    "exponential_histogram",
    "How long a plugin waited for a named downstream, by plugin operation and outcome.",
)
FALLBACKS: Final = MetricSpec(
    "plugin.fallbacks", "{call}", "sum", "Times a fallback was asked, by which of its steps answered, or why none did."
)
INVOCATION_WAITING: Final = MetricSpec(
    "plugin.invocation.waiting", "{invocation}", "gauge", "Invocations waiting for a place in the bulkhead."
)
INVOCATION_ABANDONED: Final = MetricSpec(
    "plugin.invocation.abandoned",
    "{invocation}",
    "gauge",
    "Invocations past their deadline whose threads still run, because nothing can stop a thread.",
)
MEMORY_USAGE: Final = MetricSpec(
    "plugin.memory.usage", "By", "gauge", "Resident memory of an operation's worker processes (process runner)."
)
MEMORY_PEAK: Final = MetricSpec(
    "plugin.memory.peak", "By", "gauge", "The most resident memory that one of its worker processes ever had."
)
WORKERS: Final = MetricSpec("plugin.workers", "{process}", "gauge", "Worker processes of an operation that are alive.")
WORKER_CHILDREN: Final = MetricSpec(
    "plugin.worker.children",
    "{process}",
    "gauge",
    "Processes that an operation's worker processes have started and that live.",
)
WORKER_ENDS: Final = MetricSpec(
    "plugin.worker.ends", "{process}", "sum", "Worker processes that ended, by why: deadline, memory, died, recycled."
)
LOOP_BLOCKED: Final = MetricSpec(
    "plugin.loop.blocked", "s", "sum", "How long a plugin kept an asyncio event loop from running anything else."
)
TERMS_DECLARED: Final = MetricSpec(
    "plugin.terms.declared",
    "1",
    "gauge",
    "What a plugin declared of itself: timeout in seconds, concurrency in calls; 1 for a previous version, which is named.",
)
TERMS_ENFORCED: Final = MetricSpec(
    "plugin.terms.enforced",
    "1",
    "gauge",
    "What an operation is held to in this host process: concurrency in calls (bulkhead), rate in calls a second, "
    "cpu in CPU seconds a second, memory in bytes of each worker process, "
    "output in bytes of a result; processors that the host process may use.",
)
TERMS_OBSERVED: Final = MetricSpec(
    "plugin.terms.observed",
    "1",
    "gauge",
    "The same as seen in the last interval: the longest call, the most at once; rate in calls a second that asked for it, over a minute.",
)
BREAKER_STATE: Final = MetricSpec(
    "plugin.breaker.state", "{state}", "gauge", "The breaker's state as the fixed integer of BreakerState."
)
QUARANTINE_STATE: Final = MetricSpec(
    "plugin.quarantine.state", "{state}", "gauge", "The state a directive holds the operation in (QuarantineState)."
)
TELEMETRY_DROPPED: Final = MetricSpec(
    "plugin.telemetry.dropped", "{item}", "sum", "Telemetry items the sidecar dropped, by signal and reason."
)
OVERHEAD: Final = MetricSpec(
    "plugin.telemetry.overhead",
    "s",
    "sum",
    "What watching cost: CPU time of the sidecar's own threads, and time on the callers' threads before each call, estimated.",
)
ENDING: Final = MetricSpec(
    "plugin.host.ending",
    "1",
    "gauge",
    "1 where the host process was about to end when it sent this: its silence from then on is meant.",
)

ALL: Final[tuple[MetricSpec, ...]] = (
    INVOCATION_DURATION,
    INVOCATION_ACTIVE,
    INVOCATION_WAITING,
    INVOCATION_ABANDONED,
    REJECTIONS,
    FALLBACKS,
    CPU_TIME,
    MEMORY_USAGE,
    MEMORY_PEAK,
    WORKERS,
    WORKER_CHILDREN,
    WORKER_ENDS,
    LOOP_BLOCKED,
    DOWNSTREAM_DURATION,
    BREAKER_STATE,
    QUARANTINE_STATE,
    TERMS_DECLARED,
    TERMS_ENFORCED,
    TERMS_OBSERVED,
    TELEMETRY_DROPPED,
    OVERHEAD,
    ENDING,
)
