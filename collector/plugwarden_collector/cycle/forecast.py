"""What isolating a scope will cost: for the automation when it acts, and for a person before anything is done. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from plugwarden.contract import QuarantineState, Scope

from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.decide.wider import covers, overlap
from plugwarden_collector.durations import duration
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.ways_back import WayBack, WaysBack

from .impact import Called, Impact, impact
from .trouble import within

__all__ = ["SPAN", "Forecast", "called_in", "cost", "forecast"]

SPAN = timedelta(minutes=5)
"""So much of the calls is looked at for a person: a plugin with a call this recently is running (`control.observe`), and what sidecars
have not told yet, five seconds of it, is less than a fiftieth."""
MOST_NAMED = 3
"""Scopes that a sentence names: it is kept in the decision log, and hundreds of tenants may be isolated."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a person sees before a scope is isolated."""

    scope: Scope
    over_seconds: float
    """Seconds of calls that it was counted from."""
    impact: Impact | None
    """Whom it hits; None: nobody calls what is not isolated already."""
    isolated: tuple[str, ...] = ()
    """What is isolated already and has calls in common with it, in words: those are refused as it is, and are not counted."""
    previous: frozenset[str] = frozenset()
    """Versions that hosts still have to go back to: they are no newcomers when they are called again."""

    def __str__(self) -> str:
        span = f"the last {duration(self.over_seconds)}"
        beside = (
            f" Calls of what is isolated already are not counted: {_named(self.isolated)}." if self.isolated else ""
        )
        if self.impact is None:
            return f"It hits no call: nobody called it in {span}.{beside}"
        return f"{self.impact} Counted over {span}.{beside}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as a decision keeps it."""
        hit = None if self.impact is None else self.impact.as_dict()
        return {"forecast": str(self), "impact": hit, "impact_seconds": self.over_seconds}


def _named(scopes: Sequence[str]) -> str:
    few, more = scopes[:MOST_NAMED], len(scopes) - MOST_NAMED
    return ", ".join(few) + (f" and {more:,} more" if more > 0 else "")


def forecast(
    standing: Standing, scope: Scope, cells: Sequence[Cell], told: Iterable[WayBack], at: datetime
) -> Forecast:
    """Return what isolating a scope will cost from the `cells` of its plugin within `SPAN`; `told` is what its hosts can go back to."""
    held = [
        item.scope
        for item in standing.quarantines.values()
        if item.in_force and item.state is QuarantineState.QUARANTINED
        if overlap(item.scope, scope)
    ]
    free = [cell for cell in cells if not any(within(taken, cell) for taken in held)]
    called = called_in(scope, free)
    seen = {version: since for (plugin, version), since in standing.versions.items() if plugin == scope.plugin}
    mine = [since for version, since in seen.items() if scope.version in {None, version}]
    over = min(SPAN, max(at - min(mine), timedelta(seconds=1))) if mine else SPAN
    ways = WaysBack(told, seen.keys())
    previous: frozenset[str] = frozenset()
    if scope.version is not None:
        previous = ways.before(scope.version, {(item.instance, item.operation) for item in called})
    hit = cost(scope, called, over.total_seconds(), ways, standing.quarantines.values())
    return Forecast(scope, over.total_seconds(), hit, tuple(sorted(map(str, held))), previous)


def called_in(scope: Scope, cells: Iterable[Cell]) -> list[Called]:
    """Return the calls of a scope, those among them that a breaker refused."""
    return [
        Called(cell.instance, cell.tenant, cell.counts.total + cell.refused, cell.operation)
        for cell in cells
        if within(scope, cell)
    ]


def cost(
    scope: Scope,
    called: Iterable[Called],
    seconds: float,
    ways: WaysBack,
    quarantines: Iterable[Quarantine],
    suspected: Callable[[Scope], bool] = lambda part: False,
) -> Impact | None:
    """Return whom isolating a scope hits, from what was called in so many seconds; None where nothing was.

    Nobody counts on an earlier version that is isolated or suggested to be, or `suspected`.
    """
    open_ones = [item.scope for item in quarantines if item.ended_at is None]

    def barred(part: Scope) -> bool:
        return any(covers(taken, part) for taken in open_ones) or suspected(part)

    def answering(item: Called) -> str | None:
        if scope.version is None:
            return None
        return ways.answering(
            scope.version, item.operation, item.instance,
            lambda version: barred(Scope(scope.plugin, version, item.operation, item.instance, item.tenant)),
        )  # fmt: skip

    return impact(called, seconds, answering)
