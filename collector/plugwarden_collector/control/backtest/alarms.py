"""Whether a turn would move an alert: what `cycle.alerts` and `cycle.endings` would make of the windows, asked before they are.

It may say yes too often, and never no where one would begin, end, or be marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plugwarden_collector.cycle.alerts import SEVERITIES
from plugwarden_collector.cycle.causes import covering
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective

from .tape import Names
from .windows import Mask, SlidingWindows

__all__ = ["Alarms"]

Burning = Mapping[tuple[str, str], Mask | None]
"""By objective and severity: the versions that burn too fast."""


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
    windows: SlidingWindows
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

    def due(self, at: datetime) -> bool:
        """Whether a turn at this moment may change an alert."""
        burning = {
            (objective.name, severity): self.windows.burning(objective, severity)
            for objective in self.rules.objectives
            for severity in SEVERITIES
        }
        return self._marked or self._begins(burning) or any(self._moves(item, burning, at) for item in self._open)

    def _begins(self, burning: Burning) -> bool:
        return any(
            met is not None and met.sum() > met[list(self._taken.get(key, ()))].sum() for key, met in burning.items()
        )

    def _moves(self, item: _Open, burning: Burning, at: datetime) -> bool:
        objective, severity = item.objective, item.record.severity
        met = burning[objective.name, severity]
        if not item.superseded:
            if met is not None and met[item.number]:
                reading: bool | None = True
            else:
                reading = False if self.windows.quiet(objective, severity, item.number) else None
            if _moves(item.record.alert, reading, objective, at):
                return True
        if item.held:
            return False
        shorts = [tier.short_seconds for tier in objective.tiers if tier.severity == severity]
        if any(self.windows.called(objective, size, item.number) for size in shorts):
            return False
        # Silence may end it (`cycle.endings`): its plugin goes on without the version, or nothing remembers it.
        beside = self.names.versions_of(item.record.plugin)
        if any(number != item.number and self.windows.called(objective, min(shorts), number) for number in beside):
            return True
        longest = max(tier.long_seconds for tier in objective.tiers)
        return not self.windows.called(objective, longest, item.number)


def _moves(alert: Alert, burning: bool | None, objective: Objective, at: datetime) -> bool:
    """Whether `decide.alert.transition` makes another alert of it."""
    if burning is None:
        return False
    if alert.state is AlertState.PENDING:
        since = alert.pending_at or at
        return not burning or at - since >= timedelta(seconds=objective.for_seconds)
    if burning or alert.quiet_since is None:
        return burning == (alert.quiet_since is not None)
    return at - alert.quiet_since >= timedelta(seconds=objective.keep_firing_seconds)
