"""What hosts do, step by step: they call, fail, refuse, and send what they counted when the sidecar would."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from plugwarden.contract import DirectiveSet

from .gate import Gates
from .layout import FINE, LOST, Floats, Ints, Layout
from .world import Event, Selector, World

__all__ = ["OBEYED_SECONDS", "STEP_SECONDS", "Delivery", "Fleet", "Harm"]

STEP_SECONDS = 0.25
"""Seconds of one step of simulated time: the shortest time between two ticks (`control.live.EAGER_SECONDS`)."""
OBEYED_SECONDS = 0.25
"""Seconds from a decision until hosts obey it: they hear of it at once, over a connection that waits (0.1 to 0.3 s)."""
EXPORT_SECONDS = 5.0
"""Seconds between two exports while all is well (`plugwarden.settings.Settings.export_interval_seconds`)."""
TROUBLE_SECONDS = 0.5
"""Seconds between two exports while calls fail: 0.4 (`drain.TROUBLE_SECONDS`), and the turn of the drain."""
BURST_SHARE = 0.5
"""Share of the calls that fail within a burst, of hosts whose ordinary failures come in runs."""
LOST_SECONDS = 11.0
"""Seconds after which a call that does not come back is told, where calls are short (`plugwarden.pipeline.overdue`)."""
MAX_RETRIED = 4.0
"""Callers that ask again never make more than so many times the calls."""


@dataclass(slots=True)
class Delivery:
    """What one process counted between two of its exports."""

    cells: slice
    due: int
    """The step at which it arrives."""
    began: float
    """By the host's clock, in seconds since the world began."""
    stamped: float
    """Likewise, when it was cut."""
    ended: Ints
    """Calls that ended by themselves, by cell."""
    failed: Ints
    """Calls that failed, by error and cell."""
    slow: Ints
    refused: Ints
    denied: Ints
    """Calls that directives refused."""


@dataclass(slots=True)
class Harm:
    """What the world cost, counted where it happened."""

    calls: int = 0
    lost: int = 0
    """Calls that failed through a trouble."""
    by_breaker: int = 0
    by_directive: int = 0
    """Calls that a directive refused and no earlier version answered."""
    wrongly: int = 0
    """Calls that a directive refused though no trouble hit them."""


@dataclass(slots=True)
class _Process:
    cells: slice
    skew: float
    last: int
    """The step of its last export."""
    hurried: bool = False
    muted: bool = False
    waiting: list[Delivery] = field(default_factory=list)


class Fleet:
    """All hosts of a world."""

    def __init__(self, world: World, layout: Layout, *, breakers: bool = True) -> None:
        self._world, self.layout = world, layout
        self._chance = np.random.default_rng(world.seed)
        self.gates = Gates(layout, self._chance, breakers=breakers)
        size = layout.size
        self._weight = self._first_weights()
        self._base = self._rates()
        self._steady = np.array([owner is not None and owner.noise == "steady" for owner in layout.owner])
        self._bursty = np.flatnonzero([owner is not None and owner.noise == "bursty" for owner in layout.owner])
        self._norm: Floats = np.array([0.0 if owner is None else owner.norm for owner in layout.owner])
        self._slow: Floats = np.array([0.0 if owner is None else owner.slow for owner in layout.owner])
        self._retries: Floats = np.array([0.0 if owner is None else float(owner.retries) for owner in layout.owner])
        self._burst_until: Floats = np.zeros(size)
        self._again: Floats = np.zeros(size)
        """Calls that callers make once more in the next step."""
        self._rest: Floats = np.zeros(size)
        self._lam: Floats = np.zeros(size)
        self._alive = np.ones(size, dtype=bool)
        self._dirty = True
        self._places = [layout.where(trouble.where) for trouble in world.troubles]
        self._errors = [layout.error(trouble.error, trouble.source) for trouble in world.troubles]
        self._ordinary = layout.error(FINE, "plugin")
        self._changes = sorted(
            {moment for event in world.events if event.kind in {"surge", "die"} for moment in (event.at, event.until)}
        )
        self._deploys = sorted((event for event in world.events if event.kind == "deploy"), key=lambda event: event.at)
        skews = {host.instance: host.skew_seconds for host in world.hosts}
        phases = self._chance.integers(0, int(EXPORT_SECONDS / STEP_SECONDS), len(layout.slices))
        self._processes = {
            name: _Process(cells, skews.get(name, 0.0), -int(phase))
            for (name, cells), phase in zip(layout.slices.items(), phases, strict=True)
        }
        self._ended, self._slowed = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        self._refused, self._denied = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        self._failed = np.zeros((len(layout.errors), size), dtype=np.int64)
        self._hanging: deque[tuple[float, Ints]] = deque()
        """When calls that do not come back are told, and how many by cell."""
        self._lost = layout.error(LOST, "plugin")
        self._flight: list[Delivery] = []
        self._orders: list[tuple[int, DirectiveSet]] = []
        self._back: dict[int, int] = {}
        """Cell -> that of the version which its host kept."""
        self._come_back: set[int] = set()
        """Cells that calls went back to."""
        self.answered: Counter[tuple[int, int]] = Counter()
        """(cell, the one that answered or -1) -> calls that a directive refused to the first."""
        self.harm = Harm()
        self.running: list[tuple[float, frozenset[int]]] = []
        """(since when, cells that are called)."""

    def order(self, directives: DirectiveSet, step: int) -> None:
        """Hosts hear of a set that was decided on at the end of a step, and obey one step later."""
        self._orders.append((step + 1 + round(OBEYED_SECONDS / STEP_SECONDS), directives))

    def live(self, step: int) -> list[Delivery]:
        """Let one step pass; return what arrives at its end."""
        now = step * STEP_SECONDS
        while self._orders and self._orders[0][0] <= step:
            self.gates.obey(self._orders.pop(0)[1])
        self._follow(now)
        demand = self._demand()
        denied, lost, back = (np.zeros_like(demand) for _ in range(3))
        if self.gates.limited:
            denied = demand - self._chance.binomial(demand, self.gates.share)
            denied, lost, back = self._go_back(denied)
            if more := set(np.flatnonzero(back).tolist()) - self._come_back:
                self._come_back |= more
                self._note_running(now)
        calls = demand + back - denied
        failed, slow, troubled = self._happen(calls, now)
        refused, blameless, moved = self.gates.pass_through(calls, failed, slow, now, STEP_SECONDS)
        self._denied += blameless
        self._set_apart(step, failed)
        self._count(calls, failed, slow, refused, denied, lost, troubled, now)
        while self._hanging and self._hanging[0][0] <= now:
            lost = self._hanging.popleft()[1] * self._alive
            self._ended += lost
            self._slowed += lost
            self._failed[self._lost] += lost
            failed[self._lost] += lost
        return self._arriving(step, now, failed, moved)

    def _first_weights(self) -> Floats:
        return np.array(
            [1.0 if owner is not None and part["version"] == owner.version else 0.0
             for part, owner in zip(self.layout.parts, self.layout.owner, strict=True)]
        )  # fmt: skip

    def _rates(self) -> Floats:
        hosts: dict[str, int] = {}
        for plugin in self._world.plugins:
            hosts[plugin.name] = sum(
                not plugin.services or host.service in plugin.services for host in self._world.hosts
            )
        return np.array(
            [0.0 if owner is None
             else owner.rates.get(part["operation"], owner.calls_per_second) / hosts[owner.name] / len(owner.tenants)
             for part, owner in zip(self.layout.parts, self.layout.owner, strict=True)]
        )  # fmt: skip

    def _follow(self, now: float) -> None:
        """Take over what was deployed, what died, and how much is called."""
        while self._deploys and self._deploys[0].at <= now:
            self._deploy(self._deploys.pop(0))
        while self._changes and self._changes[0] <= now:
            self._changes.pop(0)
            self._dirty = True
        if not self._dirty:
            return
        self._dirty = False
        self._lam = self._base * self._weight * STEP_SECONDS
        alive = np.ones(self.layout.size, dtype=bool)
        for event in self._world.events:
            if event.kind not in {"surge", "die"} or not event.at <= now < event.until:
                continue
            places = self.layout.where(event.where)
            if event.kind == "surge":
                self._lam[places] *= event.share
            else:
                alive[places] = False
        for process in self._processes.values():
            gone = self._alive[process.cells] & ~alive[process.cells]
            if gone.any():
                self._let_go(process)
        self._alive = alive
        self._lam[~alive] = 0.0
        self._note_running(now)

    def _note_running(self, now: float) -> None:
        self.running.append((now, frozenset([*np.flatnonzero(self._lam).tolist(), *self._come_back])))

    def _let_go(self, process: _Process) -> None:
        """A process ended without a word: what it had not sent is lost."""
        cells = process.cells
        for counts in (self._ended, self._slowed, self._refused, self._denied):
            counts[cells] = 0
        for _, hanging in self._hanging:
            hanging[cells] = 0
        self._failed[:, cells] = 0
        process.waiting.clear()
        self.gates.forget(cells)

    def _deploy(self, event: Event) -> None:
        """Give a version its share of the calls; the others keep their proportions within the rest."""
        for place in self.layout.where(event.where):
            if self.layout.parts[place]["version"] != event.version:
                continue
            others = np.flatnonzero(self.layout.caller_of == self.layout.caller_of[place])
            others = others[others != place]
            total = self._weight[others].sum()
            if total > 0:
                self._weight[others] *= (1.0 - event.share) / total
            self._weight[place] = event.share
            for kept in others if event.previous else ():
                if self.layout.parts[kept]["version"] == event.previous:
                    self._back[int(place)] = int(kept)
        self._dirty = True

    def _go_back(self, denied: Ints) -> tuple[Ints, Ints, Ints]:
        """Let refused calls go to the versions that hosts kept, through their own gates (`plugwarden.shim.rollback`). Return what is
        refused by cell, what nobody answers, and what comes to each cell that way."""
        denied, lost, came = denied.copy(), np.zeros_like(denied), np.zeros_like(denied)
        for place in np.flatnonzero(denied).tolist():
            left, at = int(denied[place]), self._back.get(place)
            while left and at is not None:
                runs = int(self._chance.binomial(left, self.gates.share[at]))
                came[at] += left  # each asks there, and some are refused again
                denied[at] += left - runs
                self.answered[place, at] += runs
                left, at = left - runs, self._back.get(at)
            lost[place] = left
            self.answered[place, -1] += left
        return denied, lost, came

    def _demand(self) -> Ints:
        asked = self._lam + np.minimum(self._again, MAX_RETRIED * self._lam)
        self._again[:] = 0.0
        demand = self._chance.poisson(asked)
        if self._steady.any():
            self._rest += np.where(self._steady, asked, 0.0)
            whole = np.floor(self._rest).astype(np.int64)
            self._rest -= whole
            demand = np.where(self._steady, whole, demand)
        return demand.astype(np.int64)

    def _happen(self, calls: Ints, now: float) -> tuple[Ints, Ints, Ints]:
        """Draw how calls end: failed by error and cell, and slow; last how many failed for a trouble. Those that hang are none."""
        norm = self._norm
        if len(self._bursty):
            norm = norm.copy()
            own = self._norm[self._bursty]
            norm[self._bursty] = own * 0.5
            begins = self._chance.random(len(self._bursty)) < own * 0.5 / BURST_SHARE * STEP_SECONDS / 0.5
            self._burst_until[self._bursty[begins]] = now + 0.5
            burning = self._bursty[self._burst_until[self._bursty] > now]
            norm[burning] = BURST_SHARE
        failed = np.zeros_like(self._failed)
        failed[self._ordinary] = self._chance.binomial(calls, norm)
        slow = self._chance.binomial(calls, self._slow)
        troubled = np.zeros_like(calls)
        for trouble, places, error in zip(self._world.troubles, self._places, self._errors, strict=True):
            strength = trouble.strength(now)
            if strength <= 0.0:
                continue
            if trouble.hang:
                gone = self._chance.binomial(calls[places] - failed[:, places].sum(axis=0), trouble.hang * strength)
                calls[places] -= gone
                hanging = np.zeros_like(calls)
                hanging[places] = gone
                self._hanging.append((now + LOST_SECONDS, hanging))
            if trouble.share:
                left = calls[places] - failed[:, places].sum(axis=0)
                more = self._chance.binomial(np.maximum(left, 0), trouble.share * strength)
                failed[error, places] += more
                troubled[places] += more
                if trouble.error == "timeout":
                    slow[places] = np.minimum(calls[places], slow[places] + more)
            if trouble.slow:
                more = self._chance.binomial(np.maximum(calls[places] - slow[places], 0), trouble.slow * strength)
                slow[places] += more
        slow = np.minimum(slow, calls)
        return failed, slow, troubled

    def _count(
        self, calls: Ints, failed: Ints, slow: Ints, refused: Ints, denied: Ints, lost: Ints, troubled: Ints, now: float
    ) -> None:
        self._ended += calls
        self._failed += failed
        self._slowed += slow
        self._refused += refused
        self._denied += denied
        if self._retries.any():
            self._again += self._retries * (failed.sum(axis=0) + refused)
        harm = self.harm
        harm.calls += int(calls.sum())
        harm.lost += int(np.minimum(troubled, failed.sum(axis=0)).sum())
        harm.by_breaker += int(refused.sum())
        if self.gates.limited:
            hit = np.zeros(len(lost), dtype=bool)
            for trouble, places in zip(self._world.troubles, self._places, strict=True):
                if trouble.strength(now) > 0.0:
                    hit[places] = True
            harm.by_directive += int(lost.sum())
            harm.wrongly += int(lost[~hit].sum())

    def _set_apart(self, step: int, failed: Ints) -> None:
        """Where calls begin to fail, what went well until then is sent by itself (`Interval.set_apart`)."""
        failing = failed.sum(axis=0) > 0
        for name, process in self._processes.items():
            cells = process.cells
            begins = cells.start < self.layout.real and not process.hurried and failing[cells].any()
            due = (step - process.last) * STEP_SECONDS >= TROUBLE_SECONDS
            if begins and due and self._ended[cells].any():
                self._export(name, process, step - 1, (step - 1) * STEP_SECONDS)

    def _arriving(self, step: int, now: float, failed: Ints, moved: set[str]) -> list[Delivery]:
        failing = failed.sum(axis=0) > 0
        for name, process in self._processes.items():
            cells = process.cells
            if cells.start >= self.layout.real:
                continue
            since = (step - process.last) * STEP_SECONDS
            trouble = process.hurried or bool(failing[cells].any())
            process.hurried = trouble
            if since >= EXPORT_SECONDS or (trouble and since >= TROUBLE_SECONDS) or name in moved:
                self._export(name, process, step, now)
        if self._world.forgeries and step % round(1 / STEP_SECONDS) == 0:
            self._forge(step, now)
        ready = [item for item in self._flight if item.due <= step]
        if ready:
            self._flight = [item for item in self._flight if item.due > step]
        return ready

    def _export(self, name: str, process: _Process, step: int, now: float) -> None:
        cells, end = process.cells, now + STEP_SECONDS
        muted = late = None
        for event in self._world.events:
            if event.kind in {"mute", "late"} and event.at <= now < event.until and self._concerns(event.where, name):
                muted, late = (event, late) if event.kind == "mute" else (muted, event)
        began = (process.last + 1) * STEP_SECONDS
        process.last, process.hurried = step, False
        sent = Delivery(
            cells, step + round((late.seconds if late else 0.0) / STEP_SECONDS), began + process.skew, end + process.skew,
            self._ended[cells].copy(), self._failed[:, cells].copy(), self._slowed[cells].copy(), self._refused[cells].copy(),
            self._denied[cells].copy(),
        )  # fmt: skip
        for counts in (self._ended, self._slowed, self._refused, self._denied):
            counts[cells] = 0
        self._failed[:, cells] = 0
        if not self._alive[cells].any():
            return
        if muted is not None:
            if not muted.lost:
                process.waiting.append(sent)
            return
        for kept in process.waiting:
            kept.due = step
        self._flight += [*process.waiting, sent]
        process.waiting = []

    def _concerns(self, where: Selector, instance: str) -> bool:
        host = next(item for item in self._world.hosts if item.instance == instance)
        return (
            (not where.instance or host.instance in where.instance)
            and (not where.machine or host.machine in where.machine)
            and (not where.service or host.service in where.service)
        )

    def _forge(self, step: int, now: float) -> None:
        for item in self._world.forgeries:
            if not item.at <= now < item.until:
                continue
            cells = self.layout.slices[f"forged by {item.sender}"]
            size = cells.stop - cells.start
            ended, none = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
            failed = np.zeros((len(self.layout.errors), size), dtype=np.int64)
            error = self.layout.error(item.error, "plugin")
            for place in range(size):
                part = self.layout.parts[cells.start + place]
                if (
                    part["plugin"] in item.plugins
                    and part["operation"] == item.operation
                    and part["tenant"] == item.tenant
                ):
                    ended[place], failed[error, place] = int(item.calls), int(item.failed)
            end = now + STEP_SECONDS - item.age
            self._flight.append(Delivery(cells, step, end - 1.0, end, ended, failed, none, none, none))
