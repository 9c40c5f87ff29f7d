"""What isolating a scope will cost: the calls that will be refused or fall back, forecast from those before the trouble. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Called", "Impact", "impact"]


@dataclass(frozen=True, slots=True)
class Impact:
    """Whom it hits."""

    calls_per_minute: float
    instances: int
    """Processes that call it."""
    tenants: int
    """0: the calls are for nobody in particular."""

    def __str__(self) -> str:
        calls = (
            f"about {self.calls_per_minute:.0f} calls a minute"
            if self.calls_per_minute >= 1.5
            else "about a call a minute"
        )
        hit = f"{self.instances} {'process' if self.instances == 1 else 'processes'}"
        if self.tenants:
            hit += f", for {self.tenants} {'tenant' if self.tenants == 1 else 'tenants'}"
        return f"Refused or answered by a fallback while it is isolated: {calls} in {hit}."

    def as_dict(self) -> dict[str, Any]:
        """Return it as the decision keeps it."""
        return {
            "calls_per_minute": round(self.calls_per_minute, 1), "instances": self.instances, "tenants": self.tenants,
        }  # fmt: skip


class Called(NamedTuple):
    """Calls of one process and tenant."""

    instance: str
    tenant: str
    calls: int


def impact(called: Iterable[Called], seconds: float) -> Impact | None:
    """Return the forecast from what was called in so many seconds; None where nothing was."""
    mine = [item for item in called if item.calls]
    if not mine or seconds <= 0:
        return None
    return Impact(
        sum(item.calls for item in mine) * 60.0 / seconds,
        len({item.instance for item in mine}),
        len({item.tenant for item in mine if item.tenant}),
    )
