"""Days in which nothing is wrong, of a large fleet, in coarse turns: what comes of them is a false alarm.

Counts are drawn for all streams at once and per turn. Budgets are left out, for alerts isolate nothing; breakers as well, for what
they refuse only ever adds to the evidence of a failure, and ordinary failures do not open them (ADR 0028).
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from plugwarden.contract import Scope
from plugwarden_collector.cycle import Observation, evaluate
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.arrivals import Arrivals, Cell, Past, StreamCounts
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.judge.watch import Began, Suspect, Watch
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.file import parse_rules
from plugwarden_collector.rules.pattern import EVERY
from plugwarden_collector.rules.policy import Policy

from .layout import Floats, Ints
from .world import RULES

__all__ = ["LONGEST_RUN", "Calm", "Day", "chance_per_month", "live_a_day"]

START = datetime(2026, 1, 1)
DAY_SECONDS = 86_400.0
OPERATIONS, HOSTS, TENANTS = 2, 3, 4
KEPT_TURNS = 720
"""Turns whose counts can be asked for again: two hours of ten seconds; nothing is suspected for longer."""
LONGEST_RUN = 3
"""Failures of one process and tenant that come in a row, at most, in the third of the streams whose failures come in runs. With runs of
five, breakers open as well (ADR 0028, "Measured")."""
LIVE_LOOKS_A_SECOND = 4.0
"""How often the live loop looks while data arrive (`control.live.EAGER_SECONDS`)."""


@dataclass(frozen=True, slots=True)
class Calm:
    """One day of a fleet."""

    seed: int
    plugins: int
    tick_seconds: float
    longest_run: int = LONGEST_RUN


@dataclass(slots=True)
class Day:
    """What came of a day."""

    calls: int = 0
    failed: int = 0
    looked_closer: int = 0
    """How often the cells of something were asked for."""
    incidents: list[str] = field(default_factory=list)
    isolated: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0


class _Fleet:
    """Streams with ordinary failures: of any rate, any norm, and for a third of them in runs."""

    def __init__(self, calm: Calm) -> None:
        self.chance = np.random.default_rng(calm.seed)
        size = calm.plugins * OPERATIONS
        self.names = [(f"p{index // OPERATIONS}", "1", ("read", "write")[index % OPERATIONS]) for index in range(size)]
        self.rate: Floats = 10 ** self.chance.uniform(-1.7, 0.5, size)
        self.norm: Floats = 10 ** self.chance.uniform(-4.0, math.log10(0.03), size)
        self.in_runs = self.chance.random(size) < 1 / 3
        self.tick, self.longest_run = calm.tick_seconds, calm.longest_run
        self.asked = 0
        """How often cells were asked for."""
        hours = self.chance.binomial(np.maximum(1, (self.rate * 3600)).astype(np.int64), self.norm, (24, size))
        usual = np.quantile(hours / np.maximum(1, self.rate * 3600), 0.75, axis=0)
        self.past = {
            name: Past(*name, int(rate * DAY_SECONDS), float(share))
            for name, rate, share in zip(self.names, self.rate, usual, strict=True)
        }
        self.past |= {(plugin, "", operation): item for (plugin, _, operation), item in self.past.items()}
        self.kept: deque[tuple[int, Ints, list[tuple[int, int, int, int]]]] = deque(maxlen=KEPT_TURNS)
        """(mark, calls by stream, (stream, host, tenant, failed))."""

    def turn(self, number: int) -> tuple[Ints, Ints, list[tuple[int, int, int, int]]]:
        """One turn's calls and failures, and where they failed."""
        load = 1.0 + 0.7 * math.sin(2 * math.pi * number * self.tick / DAY_SECONDS)
        calls = self.chance.poisson(self.rate * self.tick * load)
        one_by_one = self.chance.binomial(calls, self.norm)
        runs = np.where(self.in_runs, self.chance.binomial(calls, self.norm * 2 / (self.longest_run + 1)), one_by_one)
        failed = np.zeros_like(calls)
        places: list[tuple[int, int, int, int]] = []
        for place in np.flatnonzero(runs).tolist():
            spots: dict[tuple[int, int], int] = {}
            for _ in range(int(runs[place])):
                # A run is of one process and one tenant.
                length = int(self.chance.integers(1, self.longest_run, endpoint=True)) if self.in_runs[place] else 1
                spot = (int(self.chance.integers(HOSTS)), int(self.chance.integers(TENANTS)))
                count = min(length, int(calls[place] - failed[place]))
                failed[place] += count
                spots[spot] = spots.get(spot, 0) + count
            places += [(place, *where, count) for where, count in spots.items() if count]
        self.kept.append((number + 1, calls, places))
        return calls, failed, places

    def cell(self, place: int, host: int, tenant: int, error: str, counts: CallCounts) -> Cell:
        """One part's counts."""
        return Cell(*self.names[place], "api", f"h{host}", f"m{host}", f"t{tenant}", error, counts)

    # -- what a tick asks further

    def cells(self, suspects: Sequence[Suspect], at: datetime) -> Sequence[Cell]:
        """All that the suspects' plugins did since the trouble of each of their operations began."""
        self.asked += 1
        return [cell for suspect in suspects for cell in self._since(suspect.plugin, suspect.mark, suspect.streams)]

    def before(self, suspects: Sequence[Suspect], seconds: float) -> Sequence[Cell]:
        """What the suspects' plugins did in so many seconds before their trouble began: as much as usual, in every process."""
        found: list[Cell] = []
        for suspect in suspects:
            first = int(suspect.plugin[1:]) * OPERATIONS
            for place in range(first, first + OPERATIONS):
                calls = self._spread(int(self.rate[place] * seconds))
                found += [self.cell(place, *spot, "", CallCounts(count)) for spot, count in calls.items() if count]
        return found

    def waits(self, since: datetime, at: datetime) -> Sequence[Waits]:
        """Nobody waits for anything."""
        return []

    def paces(self, instances: Sequence[str], since: datetime, at: datetime) -> Sequence[Pace]:
        """Nothing is slow."""
        return []

    def lately(self, plugins: Sequence[str], since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """All calls of some plugins that arrived after a mark."""
        return [cell for plugin in plugins for cell in self._since(plugin, mark, {})]

    def probes(self, scope: Scope, since: datetime, mark: int, at: datetime) -> Sequence[Cell]:
        """Calls in a scope; what was isolated by mistake is of no further interest."""
        return []

    def ways_back(self, plugin: str, at: datetime) -> Sequence[WayBack]:
        """Nobody keeps a version."""
        return []

    def errors(
        self, plugin: str, version: str, since: datetime, until: datetime, *, operations: str = EVERY
    ) -> Sequence[ErrorCount]:
        """Nobody reads it."""
        return []

    def upstreams(self, sizes: Sequence[float], fast_index: int | None, at: datetime) -> Sequence[UpstreamCounts]:
        """Nobody waits for anything."""
        return []

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        """Nobody reads it."""
        return []

    def _since(self, plugin: str, mark: int, streams: Mapping[tuple[str, str], Began]) -> list[Cell]:
        first = int(plugin[1:]) * OPERATIONS
        found: list[Cell] = []
        for place in range(first, first + OPERATIONS):
            known = streams.get((self.names[place][1], self.names[place][2]))
            after = known.mark if known is not None else mark
            total, failed = 0, dict[tuple[int, int], int]()
            for number, calls, places in reversed(self.kept):
                if number <= after:
                    break
                total += int(calls[place])
                for where, host, tenant, count in places:
                    if where == place:
                        failed[host, tenant] = failed.get((host, tenant), 0) + count
            bad = sum(failed.values())
            shares = self._spread(total - bad)
            for spot, well in shares.items():
                if well:
                    found.append(self.cell(place, *spot, "", CallCounts(well)))
                if bad_here := failed.get(spot):
                    found.append(self.cell(place, *spot, "ValueError", CallCounts(bad_here, failed=bad_here)))
        return found

    def _spread(self, calls: int) -> dict[tuple[int, int], int]:
        spots = [(host, tenant) for host in range(HOSTS) for tenant in range(TENANTS)]
        return {spot: calls // len(spots) + (index < calls % len(spots)) for index, spot in enumerate(spots)}


def live_a_day(calm: Calm) -> Day:
    """Let a healthy fleet live for a day under the default rules, enforced."""
    began = time.process_time()
    rules = parse_rules((RULES / "default.toml").read_text("utf-8"), "default.toml")
    fleet, found = _Fleet(calm), Day()
    standing, watch, chance = Standing(), Watch(), random.Random(calm.seed)
    opened: set[str] = set()
    versions = {(plugin, version): START - timedelta(days=30) for plugin, version, _ in fleet.names}
    standing.versions = dict(versions)
    for number in range(round(DAY_SECONDS / calm.tick_seconds)):
        at = START + timedelta(seconds=(number + 1) * calm.tick_seconds)
        calls, failed, places = fleet.turn(number)
        # What went well where nothing is suspected changes nothing (`judge.watch.look`), and is nearly everything.
        suspected = {(key.plugin, key.version, key.operation) for key in watch.streams}
        streams = [
            StreamCounts(*fleet.names[place], CallCounts(total, failed=bad))
            for place, (total, bad) in enumerate(zip(calls.tolist(), failed.tolist(), strict=True))
            if bad or (total and fleet.names[place] in suspected)
        ]
        cells = [
            fleet.cell(place, host, tenant, "ValueError", CallCounts(count, failed=count))
            for place, host, tenant, count in places
        ]
        seen = Observation(
            at,
            {},
            None,
            calm.plugins,
            versions,
            dict.fromkeys(versions, at),
            Arrivals(number + 1, streams, cells),
            fleet.past,
        )
        standing, watch, changes = evaluate(rules, standing, watch, seen, fleet, chance.random)
        found.calls += int(calls.sum())
        found.failed += int(failed.sum())
        for incident in changes.incidents:
            if incident.id not in opened:
                opened.add(incident.id)
                found.incidents.append(f"day {calm.seed}, {at:%H:%M:%S}: {incident.summary}")
        found.isolated += [
            f"day {calm.seed}, {at:%H:%M:%S}: {item.scope}: {item.reason}"
            for item in changes.decisions
            if item.kind == "quarantined"
        ]
    found.looked_closer = fleet.asked
    found.cpu_seconds = time.process_time() - began
    return found


def chance_per_month(plugins: int, tick_seconds: float) -> dict[str, float]:
    """Isolations per fleet and 30 days that the threshold allows at most, of streams alone: looks x e^-nats, summed over streams."""
    nats = Policy().enough_nats("p0")
    streams, seconds = plugins * OPERATIONS, 30 * DAY_SECONDS
    return {
        f"looked at every {tick_seconds:g} s": streams * seconds / tick_seconds * math.exp(-nats),
        f"looked at {LIVE_LOOKS_A_SECOND:g} times a second": streams * seconds * LIVE_LOOKS_A_SECOND * math.exp(-nats),
    }
