"""What stands before the plugins in every host: breakers, and the rules that directives make, by the sidecar's own code."""

from __future__ import annotations

import numpy as np
from plugwarden import BreakerPolicy
from plugwarden.contract import DirectiveSet, Scope
from plugwarden.gate import Breaker
from plugwarden.gate.rules import by_plugin, resolve

from .layout import Floats, Ints, Layout

__all__ = ["Gates"]

_POLICY = BreakerPolicy()
LEAST_NORM = 0.0002
"""No past is longer than five thousand calls without a failure: a breaker takes none for better than 1 % (ADR 0028)."""
TURN_SECONDS = _POLICY.window_seconds / 10
"""A breaker's window has ten slots; each must begin with the right number of calls."""


class Gates:
    """The gates of all hosts."""

    def __init__(self, layout: Layout, chance: np.random.Generator, *, breakers: bool = True) -> None:
        self._layout, self._chance = layout, chance
        self._enabled = breakers
        self._breakers = [Breaker(_POLICY, spread=lambda: float(chance.random())) for _ in layout.breakers]
        for index, cells in enumerate(layout.cells_of_breaker):
            owner = layout.owner[cells[0]]
            if owner is not None and owner.history_hours > 0 and layout.breakers[index][2] == owner.version:
                # It ran before: what it knows of its past is how rarely it failed.
                self._breakers[index].calls = round(1.0 / max(owner.norm, LEAST_NORM))
        self._well: Ints = np.zeros(len(layout.breakers), dtype=np.int64)
        """Successes that the breakers were not told of yet."""
        self._source = [""] * len(layout.breakers)
        """Who was to blame for the failure that each saw last."""
        self._turned = 0.0
        self.refusing = np.zeros(len(layout.breakers), dtype=bool)
        self.share: Floats = np.ones(layout.size)
        """Share of the calls that directives let through."""
        self.limited = False
        """Whether any is below 1."""

    def obey(self, directives: DirectiveSet) -> None:
        """Take over a set."""
        self.share[:] = 1.0
        mine = by_plugin(directives.directives)
        for index, (instance, plugin, version, operation) in enumerate(self._layout.breakers):
            rules = resolve(mine.get(plugin, ()), Scope(plugin, version, operation, instance)) if plugin in mine else ()
            for cell in self._layout.cells_of_breaker[index] if rules else ():
                tenant = self._layout.parts[cell]["tenant"]
                rule = next((rule for rule in rules if rule.tenant in {None, tenant}), None)
                if rule is not None:
                    self.share[cell] = rule.share_ratio
        self.limited = bool((self.share < 1.0).any())

    def forget(self, cells: slice) -> None:
        """A process began anew: its breakers know nothing."""
        for index in set(self._layout.breaker_of[cells].tolist()):
            self._breakers[index] = Breaker(_POLICY, spread=lambda: float(self._chance.random()))
            self.refusing[index], self._well[index] = False, 0

    def pass_through(
        self, calls: Ints, failed: Ints, slow: Ints, now: float, step: float
    ) -> tuple[Ints, Ints, set[str]]:
        """Let breakers see one step's calls; `calls`, `failed` (error x cell) and `slow` are changed to what ran.

        Returns how many calls of each cell breakers refused, those that opened for somebody else's failures, and the processes in
        which one changed its state.
        """
        refused, blameless = np.zeros_like(calls), np.zeros_like(calls)
        moved: set[str] = set()
        if not self._enabled:
            return refused, blameless, moved
        failing = failed.any(axis=0)
        count = len(self._breakers)
        busy = self.refusing | (np.bincount(self._layout.breaker_of[failing], minlength=count) > 0)
        totals = np.bincount(self._layout.breaker_of, weights=calls, minlength=count).astype(np.int64)
        self._well += np.where(busy, 0, totals)
        if now - self._turned >= TURN_SECONDS:
            self._turned = now
            for index in np.flatnonzero(self._well).tolist():
                self._tell(index)
                self._breakers[index].turn(int(now * 1e9))
        for index in np.flatnonzero(busy & (totals > 0)).tolist():
            self._tell(index)
            mine = refused.copy()
            if self._one(index, calls, failed, slow, refused, now, step):
                moved.add(self._layout.breakers[index][0])
            if self._source[index] != "plugin":
                blameless += refused - mine
                refused = mine
        return refused, blameless, moved

    def _tell(self, index: int) -> None:
        self._breakers[index].calls += int(self._well[index])
        self._well[index] = 0

    def _one(self, index: int, calls: Ints, failed: Ints, slow: Ints, refused: Ints, now: float, step: float) -> bool:
        """One breaker's calls of a step, one after the other in an order by chance; whether its state changed."""
        breaker, before = self._breakers[index], self._breakers[index].state
        outcomes: list[tuple[int, int]] = []
        for cell in self._layout.cells_of_breaker[index]:
            errors = failed[:, cell]
            for error in np.flatnonzero(errors):
                outcomes += [(cell, int(error))] * int(errors[error])
            outcomes += [(cell, -1)] * int(calls[cell] - errors.sum())
        order = self._chance.permutation(len(outcomes)).tolist()
        changed = False
        for place, chosen in enumerate(order):
            cell, error = outcomes[chosen]
            at = now + step * (place + 0.5) / len(order)
            probe = breaker.admit(at)
            if probe is None:
                calls[cell] -= 1
                refused[cell] += 1
                if error >= 0:
                    failed[error, cell] -= 1
                slow[cell] = min(slow[cell], calls[cell])
            elif error >= 0:
                # A caller's mistake decides nothing.
                if self._layout.errors[error][1] == "caller":
                    if probe:
                        breaker.give_back(probe)
                else:
                    self._source[index] = self._layout.errors[error][1]
                    breaker.record(True, at, probe)
            elif probe:
                breaker.record(False, at, probe)
            else:
                breaker.calls += 1
            changed = changed or breaker.state is not before
        self.refusing[index] = breaker.refusing
        return changed
