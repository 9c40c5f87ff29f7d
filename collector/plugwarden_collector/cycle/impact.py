"""What isolating a scope will cost: the calls that will be refused or fall back, forecast from those before the trouble. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from plugwarden.contract import Scope

from plugwarden_collector.judge.arrivals import Cell

from .trouble import within

__all__ = ["Impact", "impact"]


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


def impact(scope: Scope, called: Iterable[Cell], seconds: float) -> Impact | None:
    """Return the forecast from what was called in so many seconds; None where nothing in the scope was."""
    mine = [cell for cell in called if within(scope, cell) and (cell.counts.total or cell.refused)]
    if not mine:
        return None
    return Impact(
        sum(cell.counts.total + cell.refused for cell in mine) * 60.0 / seconds,
        len({cell.instance for cell in mine}),
        len({cell.tenant for cell in mine if cell.tenant}),
    )
