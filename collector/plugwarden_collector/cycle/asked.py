"""What a tick asked further and which chance it drew: remembered while it runs, and answered from memory when it is run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from plugwarden.contract import Scope

from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.watch import Suspect
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.pattern import EVERY

from .tick import Evidence

__all__ = ["Asked", "LatelyKey", "PacesKey", "ProbesKey", "Remembered"]

PacesKey = tuple[tuple[str, ...], datetime]
"""Processes, and since when."""
LatelyKey = tuple[datetime, int]
"""Since when, and the mark after which calls arrived: while nothing arrives, several looks go back to one mark."""
ProbesKey = tuple[Scope, datetime, int]
"""A scope, since when, and the mark after which its calls arrived."""


class Asked:
    """Evidence and chance of one tick, which remembers what decides: the rest is passed on."""

    def __init__(self, evidence: Evidence, chance: Callable[[], float]) -> None:
        self._evidence, self._chance = evidence, chance
        self.waited: dict[datetime, Sequence[Waits]] = {}
        self.paced: dict[PacesKey, Sequence[Pace]] = {}
        self.arrived: dict[LatelyKey, Sequence[Cell]] = {}
        self.probed: dict[ProbesKey, Sequence[Cell]] = {}
        self.ways: dict[str, Sequence[WayBack]] = {}
        self.drawn: list[float] = []

    def chance(self) -> float:
        """Return what is drawn."""
        self.drawn.append(self._chance())
        return self.drawn[-1]

    def cells(self, suspects: Sequence[Suspect], at: datetime) -> Sequence[Cell]:
        """Return what the suspects' plugins did since."""
        return self._evidence.cells(suspects, at)

    def before(self, suspects: Sequence[Suspect], seconds: float) -> Sequence[Cell]:
        """Return what they did before."""
        return self._evidence.before(suspects, seconds)

    def waits(self, since: datetime, at: datetime) -> Sequence[Waits]:
        """Return how waits go."""
        found = self.waited[since] = self._evidence.waits(since, at)
        return found

    def paces(self, instances: Sequence[str], since: datetime, at: datetime) -> Sequence[Pace]:
        """Return how long calls take."""
        found = self.paced[tuple(instances), since] = self._evidence.paces(instances, since, at)
        return found

    def lately(self, plugins: Sequence[str], since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return what some plugins did since a mark: the same ones in all of a tick."""
        found = self.arrived[since, mark] = self._evidence.lately(plugins, since, mark, at)
        return found

    def probes(self, scope: Scope, since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return the calls in a scope."""
        found = self.probed[scope, since, mark] = self._evidence.probes(scope, since, mark, at)
        return found

    def ways_back(self, plugin: str, at: datetime) -> Sequence[WayBack]:
        """Return to which earlier versions hosts can go back."""
        found = self.ways[plugin] = self._evidence.ways_back(plugin, at)
        return found

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> Sequence[ErrorCount]:
        """Return failed calls by error."""
        return self._evidence.errors(plugin, version, since, until, operations=operations)

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> Sequence[UpstreamCounts]:
        """Return how calls of upstreams went."""
        return self._evidence.upstreams(sizes, fast_index, at)

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """Return the newest failed calls."""
        return self._evidence.traces(plugin, version, since, until)


class Remembered:
    """The same answers once more. What was not asked then raises `LookupError`: the code that asks is not the code that asked."""

    def __init__(
        self,
        waited: Mapping[datetime, Sequence[Waits]],
        paced: Mapping[PacesKey, Sequence[Pace]],
        arrived: Mapping[LatelyKey, Sequence[Cell]],
        probed: Mapping[ProbesKey, Sequence[Cell]],
        ways: Mapping[str, Sequence[WayBack]],
        drawn: Sequence[float],
    ) -> None:
        self._waited, self._paced, self._arrived = waited, paced, arrived
        self._probed, self._ways = probed, ways
        self._drawn = list(reversed(drawn))

    def chance(self) -> float:
        """Return what was drawn then; raises `IndexError` where nothing was."""
        return self._drawn.pop()

    def cells(self, suspects: Sequence[Suspect], at: datetime) -> Sequence[Cell]:
        """Return nothing: what was found stands among the facts."""
        return ()

    def before(self, suspects: Sequence[Suspect], seconds: float) -> Sequence[Cell]:
        """Return nothing, likewise."""
        return ()

    def waits(self, since: datetime, at: datetime) -> Sequence[Waits]:
        """Return how waits went."""
        return self._waited[since]

    def paces(self, instances: Sequence[str], since: datetime, at: datetime) -> Sequence[Pace]:
        """Return how long calls took."""
        return self._paced[tuple(instances), since]

    def lately(self, plugins: Sequence[str], since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return what some plugins did."""
        return self._arrived[since, mark]

    def probes(self, scope: Scope, since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Return the calls in a scope."""
        return self._probed[scope, since, mark]

    def ways_back(self, plugin: str, at: datetime) -> Sequence[WayBack]:
        """Return to which earlier versions hosts could go back."""
        return self._ways[plugin]

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> Sequence[ErrorCount]:
        """Return nothing: it is said in texts, and decides nothing."""
        return ()

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> Sequence[UpstreamCounts]:
        """Return nothing: who speaks for whom decides nothing."""
        return ()

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """Return nothing, likewise."""
        return ()
