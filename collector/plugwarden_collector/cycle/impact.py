"""What isolating a scope will cost, forecast from the calls before the trouble: those that an earlier version will answer, and those
that will be refused or fall back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from plugwarden_collector.figures import counted

__all__ = ["Called", "Hit", "Impact", "impact"]

MOST_NAMED = 3
"""Versions that a sentence names; hosts hardly ever go back to more."""


class Called(NamedTuple):
    """Calls of one process, operation and tenant."""

    instance: str
    tenant: str
    calls: int
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """Some of the calls."""

    calls_per_minute: float
    instances: int
    """Processes that make them."""
    tenants: int
    """0: the calls are for nobody in particular."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as the decision keeps it."""
        return {
            "calls_per_minute": round(self.calls_per_minute, 1), "instances": self.instances, "tenants": self.tenants,
        }  # fmt: skip

    @property
    def calls(self) -> str:
        """How many, in words."""
        many = self.calls_per_minute >= 1.5
        return f"about {self.calls_per_minute:.0f} calls a minute" if many else "about a call a minute"

    def __str__(self) -> str:
        text = f"{self.calls} in {counted(self.instances, 'process', 'processes')}"
        return text + (f", for {counted(self.tenants, 'tenant')}" if self.tenants else "")


@dataclass(frozen=True, slots=True)
class Impact:
    """Whom it hits."""

    whole: Hit
    """All calls of the scope."""
    previous: tuple[tuple[str, Hit], ...] = ()
    """Earlier versions that answer, each with the calls that go back to it; most calls first."""
    refused: Hit | None = None
    """Calls that are refused or fall back; None: an earlier version answers all of them."""

    def __str__(self) -> str:
        if not self.previous:
            return f"Refused or answered by a fallback while it is isolated: {self.whole}."
        ways = [f"to version {version} in {_having(hit)}, {hit.calls}" for version, hit in self.previous[:MOST_NAMED]]
        if len(self.previous) > MOST_NAMED:
            ways.append(f"and to {counted(len(self.previous) - MOST_NAMED, 'other version')}")
        if self.refused is not None:
            ways.append(f"refused or answered by a fallback: {self.refused}")
        return f"While it is isolated, calls go back {'; '.join(ways)}."

    def as_dict(self) -> dict[str, Any]:
        """Return it as the decision keeps it."""
        return {
            **self.whole.as_dict(),
            "previous": [{"version": version, **hit.as_dict()} for version, hit in self.previous],
            "refused": None if self.refused is None else self.refused.as_dict(),
        }


def impact(
    called: Iterable[Called], seconds: float, answering: Callable[[Called], str | None] = lambda item: None
) -> Impact | None:
    """Return the forecast from what was called in so many seconds; None where nothing was. `answering` says which earlier version
    will answer some calls, None for none."""
    mine = [item for item in called if item.calls]
    if not mine or seconds <= 0:
        return None
    shares: dict[str | None, list[Called]] = {}
    for item in mine:
        shares.setdefault(answering(item), []).append(item)
    refused = shares.pop(None, None)
    back = [(version, _hit(items, seconds)) for version, items in shares.items() if version is not None]
    back.sort(key=lambda entry: (-entry[1].calls_per_minute, entry[0]))
    return Impact(_hit(mine, seconds), tuple(back), None if refused is None else _hit(refused, seconds))


def _hit(called: Sequence[Called], seconds: float) -> Hit:
    return Hit(
        sum(item.calls for item in called) * 60.0 / seconds,
        len({item.instance for item in called}),
        len({item.tenant for item in called if item.tenant}),
    )


def _having(hit: Hit) -> str:
    return "the process that has it" if hit.instances == 1 else f"the {hit.instances} processes that have it"
