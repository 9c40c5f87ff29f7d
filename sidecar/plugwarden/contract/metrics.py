"""The metrics a sidecar emits: name, unit (UCUM) and what one value means."""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "ALL",
    "BREAKER_STATE",
    "CPU_TIME",
    "DOWNSTREAM_DURATION",
    "INVOCATION_ACTIVE",
    "INVOCATION_DURATION",
    "OVERHEAD",
    "QUARANTINE_STATE",
    "REJECTIONS",
    "TELEMETRY_DROPPED",
    "MetricSpec",
]


@dataclass(frozen=True, slots=True)
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
    "plugin.telemetry.overhead", "s", "sum", "CPU time the sidecar's own threads spent on aggregating and exporting."
)

ALL: Final[tuple[MetricSpec, ...]] = (
    INVOCATION_DURATION,
    INVOCATION_ACTIVE,
    REJECTIONS,
    CPU_TIME,
    DOWNSTREAM_DURATION,
    BREAKER_STATE,
    QUARANTINE_STATE,
    TELEMETRY_DROPPED,
    OVERHEAD,
)
