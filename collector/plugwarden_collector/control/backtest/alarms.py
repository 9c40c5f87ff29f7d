"""Whether a turn would move an alert: what `cycle.alerts` and `cycle.endings` would make of the windows, asked before they are.

It may say yes too often, and never no where one would begin, end, or be marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from plugwarden_collector.cycle.alerts import SEVERITIES
from plugwarden_collector.cycle.causes import covering
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective

from .tape import Ints, Names, second_of
from .windows import Mask, Sums

__all__ = ["Alarms"]


@dataclass(frozen=True, slots=True)
class _Open:
    """An alert that is pending, or fires."""

    record: AlertRecord
    objective: Objective
    number: int
    """Number of its plugin version, as the tape counts them."""
    held: bool
    """A quarantine in force speaks for it, so that silence does not end it."""
    superseded: bool
    """Its version is isolated for good, so that its windows move nothing."""


@dataclass(slots=True)
class Alarms:
    """Follows the alerts of a replay."""

    rules: Rules
    names: Names
    _open: list[_Open] = field(default_factory=list)
    _taken: Mapping[tuple[str, str], set[int]] = field(default_factory=dict)
    """By objective and severity: versions that have an open alert, or can have none."""
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
        superseded = {
            (item.scope.plugin, item.scope.version)
            for item in standing.quarantines.values()
            if item.superseded_by is not None and item.ended_at is None
        }
        over = [
            number
            for plugin, version in superseded
            if version is not None and (number := self.names.known_version((plugin, version))) is not None
        ]
        self._taken = {(name, severity): set(over) for name in objectives for severity in SEVERITIES}
        self._open, self._marked = [], False
        for record in standing.alerts.values():
            if record.alert.state is AlertState.INACTIVE:
                self._marked = self._marked or record.inhibited_by is not None
                continue
            number = self.names.known_version((record.plugin, record.version))
            if number is None:
                continue
            speaker = covering(standing, record)
            held = speaker is not None and speaker.in_force
            mine = (record.plugin, record.version) in superseded
            self._open.append(_Open(record, objectives[record.slo], number, held, mine))
            self._taken[record.slo, record.severity].add(number)

    def due(self, sums: Sums, ats: Ints) -> Mask:
        """Return at which of some moments, in seconds, a turn may change an alert; `sums` are what the windows hold at each."""
        burning = {
            (objective.name, severity): sums.burning(objective, severity)
            for objective in self.rules.objectives
            for severity in SEVERITIES
        }
        found: Mask = np.full(len(ats), self._marked)
        for key, met in burning.items():
            if met is not None:
                free = np.ones(met.shape[1], bool)
                free[list(self._taken.get(key, ()))] = False
                found |= met[:, free].any(axis=1)
        for item in self._open:
            found |= self._moves(item, burning[item.objective.name, item.record.severity], sums, ats)
        return found

    def _moves(self, item: _Open, met: Mask | None, sums: Sums, ats: Ints) -> Mask:
        objective, severity = item.objective, item.record.severity
        moved = np.zeros(len(ats), bool)
        if not item.superseded:
            burns = moved if met is None else met[:, item.number]
            quiet = ~burns & sums.quiet(objective, severity, item.number)
            moved = _moves(item.record.alert, burns, quiet, objective, ats)
        if item.held:
            return moved
        shorts = [tier.short_seconds for tier in objective.tiers if tier.severity == severity]
        silent = ~_any(sums.called(objective, size, item.number) for size in shorts)
        if not silent.any():
            return moved
        # Silence may end it (`cycle.endings`): its plugin goes on without the version, or nothing remembers it.
        others = [number for number in self.names.versions_of(item.record.plugin) if number != item.number]
        beside = _any(sums.called(objective, min(shorts), number) for number in others)
        longest = max(tier.long_seconds for tier in objective.tiers)
        return moved | (silent & (beside | ~sums.called(objective, longest, item.number)))


def _moves(alert: Alert, burns: Mask, quiet: Mask, objective: Objective, ats: Ints) -> Mask:
    """Return when `decide.alert.transition` makes another alert of it."""
    if alert.state is AlertState.PENDING:
        waited = 0 if alert.pending_at is None else ats - second_of(alert.pending_at)
        return quiet | (burns & (waited >= objective.for_seconds))
    if alert.quiet_since is None:
        return quiet
    return burns | (quiet & (ats - second_of(alert.quiet_since) >= objective.keep_firing_seconds))


def _any(masks: Iterable[Mask]) -> Mask | np.bool_:
    found: Mask | np.bool_ = np.bool_(False)
    for mask in masks:
        found = found | mask
    return found
