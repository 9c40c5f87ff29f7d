"""The enumerations of the design, with fixed integers where a metric carries them."""

from enum import Enum, StrEnum
from typing import Final

__all__ = ["BreakerState", "Criticality", "ErrorSource", "Outcome", "QuarantineState", "RejectionReason"]


class Outcome(StrEnum):
    """How an invocation ended."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    REJECTED = "rejected"
    CANCELLED = "cancelled"

    @property
    def failed(self) -> bool:
        """Whether the call ended with an error or a timeout, whoever is to blame."""
        return self in {Outcome.ERROR, Outcome.TIMEOUT}

    @property
    def ended(self) -> bool:
        """Whether the call ended by itself: neither refused before it began nor cancelled by its caller."""
        return self in {Outcome.SUCCESS, Outcome.ERROR, Outcome.TIMEOUT}


class ErrorSource(StrEnum):
    """Who is to blame for a failed or refused invocation."""

    PLUGIN = "plugin"
    DOWNSTREAM = "downstream"
    HOST = "host"
    CALLER = "caller"
    QUOTA = "quota"


class RejectionReason(StrEnum):
    """Why the gate refused an invocation."""

    QUARANTINED = "quarantined"
    PROBATION = "probation"
    CIRCUIT_OPEN = "circuit_open"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    """The deadline of a call further up had passed already."""
    BULKHEAD_FULL = "bulkhead_full"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXCEEDED = "quota_exceeded"
    CAPACITY = "capacity"
    """The host has no thread or process to run it in: its system's limits, or its memory, are used up."""
    GATE_FAULT = "gate_fault"
    """The gate itself failed, and the plugin is declared to fail closed."""

    @property
    def tells_of_failures(self) -> bool:
        """Whether a refusal says that the plugin fails: its breaker opened, and nobody asks it again."""
        return self is RejectionReason.CIRCUIT_OPEN


class Criticality(StrEnum):
    """What it means to the host when a plugin cannot run."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    SECURITY = "security"
    """It guards something: where nothing says that a call may run, it must not (fails closed). All others fail open."""


class _Exported(Enum):
    """A state whose integer is part of the wire contract: never renumber, only append."""

    def __init__(self, word: str, number: int) -> None:
        self.word: Final = word
        self.number: Final = number


class BreakerState(_Exported):
    """The breaker of one plugin operation in one sidecar."""

    CLOSED = ("closed", 0)
    OPEN = ("open", 1)
    HALF_OPEN = ("half_open", 2)
    FORCED_OPEN = ("forced_open", 3)
    DISABLED = ("disabled", 4)
    METRICS_ONLY = ("metrics_only", 5)


class QuarantineState(_Exported):
    """What the collector has decided for a scope."""

    HEALTHY = ("healthy", 0)
    DEGRADED = ("degraded", 1)
    QUARANTINED = ("quarantined", 2)
    PROBATION = ("probation", 3)
