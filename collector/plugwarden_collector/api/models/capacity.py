"""What each plugin asks of its hosts."""

from __future__ import annotations

from plugwarden.contract.value import value

from .answer import Answer

__all__ = ["Demand"]


@value
class Demand(Answer):
    """What a plugin asks of all its hosts together, over a span of time."""

    plugin_id: str
    calls: int
    calls_per_second: float
    peak_calls_per_second: float
    """Calls a second in the fullest ten seconds."""
    concurrency: float | None
    """Calls under way at a time, on average (Little's law); null when none ran."""
    cpu_cores: float | None
    """Processor seconds a second."""
