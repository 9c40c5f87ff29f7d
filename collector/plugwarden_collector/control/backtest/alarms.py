"""Whether a turn would move an alert: what `cycle.alerts` and `cycle.endings` would make of the windows, asked before they are.

It may say yes too often, and never no where one would begin, end, or be marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from plugwarden_collector.cycle.speaker import covering
from plugwarden_collector.decide.alert import EXHAUSTED, Alert, AlertRecord, AlertState
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import PAGE, TICKET

from .sums import Mask, Sums
from .tape import Ints, Names, second_of

__all__ = ["Alarms"]

KINDS = (PAGE, TICKET, EXHAUSTED)
"""Kinds of alerts: pages are of versions, all others of plugins (ADR 0048)."""
Read = Mapping[tuple[str, str], Mask]
"""By objective and kind: moments x versions (pages) or plugins (all others)."""


@dataclass(frozen=True, slots=True)
class _Open:
    """An alert that is pending, or fires."""

    record: AlertRecord
    objective: Objective
    kind: str
    """One of `KINDS`."""
    number: int
    """Number of its version (pages) or of its plugin (all others), as the tape counts them."""
    held: bool
    """A quarantine in force speaks for it, so that silence does not end it."""
    replaced: bool
    """Its version will not run again, so that its windows move nothing."""


@dataclass(slots=True)
class Alarms:
    """Follows the alerts of a replay."""

    rules: Rules
    names: Names
    _open: list[_Open] = field(default_factory=list)
    _taken: Mapping[tuple[str, str], set[int]] = field(default_factory=dict)
    """By objective and kind: versions or plugins that have an open alert, or can have none."""
    _first: dict[str, int] = field(default_factory=dict)
    """Second in which each plugin was first called."""
    _versions: int = 0
    """Versions that are in it."""
    _marked: bool = False
    """An alert that ended has yet to lose its mark."""

    @property
    def open_alerts(self) -> Mapping[str, set[str]]:
        """Plugins with an open alert, by objective."""
        found: dict[str, set[str]] = {}
        for item in self._open:
            found.setdefault(item.objective.name, set()).add(item.record.plugin)
        return found

    def follow(self, standing: Standing) -> None:
        """Take over where a turn left things."""
        objectives = {item.name: item for item in self.rules.objectives}
        replaced = standing.replaced
        over = [number for name in replaced if (number := self.names.known_version(name)) is not None]
        self._taken = {(name, kind): set(over if kind == PAGE else ()) for name in objectives for kind in KINDS}
        if len(standing.versions) != self._versions:
            self._versions = len(standing.versions)
            for (plugin, _), first_at in standing.versions.items():
                self._first[plugin] = min(second_of(first_at), self._first.get(plugin, second_of(first_at)))
        self._open, self._marked = [], False
        for record in standing.alerts.values():
            if record.alert.state is AlertState.INACTIVE:
                self._marked = self._marked or record.inhibited_by is not None
                continue
            kind = EXHAUSTED if record.exhausted else record.severity
            number = (
                self.names.known_plugin(record.plugin)
                if record.version is None
                else self.names.known_version((record.plugin, record.version))
            )
            if number is None:
                continue
            speaker = covering(standing, record)
            held = speaker is not None and speaker.in_force
            mine = (record.plugin, record.version) in replaced
            self._open.append(_Open(record, objectives[record.slo], kind, number, held, mine))
            self._taken[record.slo, kind].add(number)

    def due(self, sums: Sums, ats: Ints) -> Mask:
        """Return at which of some moments, in seconds, a turn may change an alert; `sums` are what the windows hold at each."""
        burning: dict[tuple[str, str], Mask] = {}
        again: dict[str, Mask] = {}
        for objective in self.rules.objectives:
            for severity in (PAGE, TICKET):
                burning[objective.name, severity] = sums.burning(objective, severity)
            burning[objective.name, EXHAUSTED], again[objective.name] = self._spent(objective, sums, ats)
        found: Mask = np.full(len(ats), self._marked)
        for key, met in burning.items():
            free = np.ones(met.shape[1], bool)
            free[list(self._taken.get(key, ()))] = False
            found |= (met & free).any(axis=1)
        for item in self._open:
            name = item.objective.name
            burns = burning[name, item.kind][:, item.number]
            if item.kind == EXHAUSTED:
                well = again[name][:, item.number]
            else:
                well = sums.quiet(item.objective, item.kind, item.number)
            if not item.replaced:
                found |= _moves(item.record.alert, burns, well & ~burns, item.objective, ats)
            if not item.held:
                found |= self._silent(item, sums)
        return found

    def _spent(self, objective: Objective, sums: Sums, ats: Ints) -> tuple[Mask, Mask]:
        """Return whose budget is spent, but for plugins that have just come, and who has a share of one again."""
        gone, again = sums.spent(objective)
        if gone.any():
            longest = max(tier.long_seconds for tier in objective.tiers)
            first = np.array([self._first.get(name, 0) for name in self.names.plugins], np.int64)
            first[list(self._taken.get((objective.name, EXHAUSTED), ()))] = 0  # it is told already
            gone &= ats[:, None] - first > longest
        return gone, again

    def _silent(self, item: _Open, sums: Sums) -> Mask:
        """Return when silence may end it (`cycle.endings`): its plugin goes on without the version, or nothing remembers it."""
        objective, kind = item.objective, item.kind
        longest = max(tier.long_seconds for tier in objective.tiers)
        forgotten: Mask = ~sums.called(objective, longest, kind, item.number)
        if kind != PAGE:
            return forgotten
        shorts = [tier.short_seconds for tier in objective.tiers if tier.severity == kind]
        silent = np.ones(len(forgotten), bool)
        for size in shorts:
            silent &= ~sums.called(objective, size, kind, item.number)
        if not silent.any():
            return silent
        found = forgotten
        for number in self.names.versions_of(item.record.plugin):
            if number != item.number:
                found |= sums.called(objective, min(shorts), kind, number)
        return found & silent


def _moves(alert: Alert, burns: Mask, quiet: Mask, objective: Objective, ats: Ints) -> Mask:
    """Return when `decide.alert.transition` makes another alert of it."""
    if alert.state is AlertState.PENDING:
        waited = 0 if alert.pending_at is None else ats - second_of(alert.pending_at)
        return quiet | (burns & (waited >= objective.for_seconds))
    if alert.quiet_since is None:
        return quiet
    return burns | (quiet & (ats - second_of(alert.quiet_since) >= objective.keep_firing_seconds))
