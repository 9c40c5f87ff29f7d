"""What load and limits are told of."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Resource"]


class Resource(StrEnum):
    """What is asked for."""

    CALLS = "calls_per_second"
    CONCURRENCY = "concurrency"
    CPU = "cpu_cores"
    MEMORY = "memory_bytes"
