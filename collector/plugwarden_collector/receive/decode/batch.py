"""What decoding answers: the rows of one request, ready to insert, and what had to be refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

__all__ = ["Batch", "Signal"]


class Signal(StrEnum):
    """The three kinds of telemetry."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one request, ready to insert."""

    signal: Signal
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """Staging table name -> rows."""
    accepted: int = 0
    """Spans, points or records to be stored."""
    rejected: int = 0
    """Spans, points or records that are refused."""
    reason: str = ""
    """Why some are refused, for the sender's log."""
    adjusted: int = 0
    """Spans, points or records whose clock had to be put right."""
    nbytes: int = 0
    """Size in memory, for the queue's bound."""
