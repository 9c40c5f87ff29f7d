"""Whether a turn would move an alert: what `cycle.alerts` and `cycle.endings` would make of the windows, asked before they are.

It may say yes too often, and never no where one would begin, end, or be marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plugwarden_collector.cycle.causes import covering
from plugwarden_collector.decide.alert import EXHAUSTED, Alert, AlertRecord, AlertState
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import PAGE, TICKET

from .tape import Names
from .windows import Mask, SlidingWindows

__all__ = ["Alarms"]

Burning = Mapping[tuple[str, str], Mask | None]
"""By objective and kind: the versions (pages) or plugins (all others) that burn too fast, or whose budget is spent."""
KINDS = (PAGE, TICKET, EXHAUSTED)


@dataclass(frozen=True, slots=True)
class _Open:
    """An alert that is pending, or fires."""

    record: AlertRecord
    objective: Objective
    kind: str
    """One of `KINDS`."""
    number: int
    """Number of its plugin version, as the tape counts them, or of its plugin."""
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
    """By objective and kind: versions or plugins that have an open alert, or can have none."""
    _first: dict[str, datetime] = field(default_factory=dict)
    """When each plugin was first called."""
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
        self._taken = {(name, kind): set(over if kind == PAGE else ()) for name in objectives for kind in KINDS}
        if len(standing.versions) != self._versions:
            self._versions = len(standing.versions)
            for (plugin, _), first_at in standing.versions.items():
                self._first[plugin] = min(first_at, self._first.get(plugin, first_at))
        self._open, self._marked = [], False
        for record in standing.alerts.values():
            if record.alert.state is AlertState.INACTIVE:
                self._marked = self._marked or record.inhibited_by is not None
                continue
            kind = EXHAUSTED if record.exhausted else record.severity
            number = (
                self.windows.plugin(record.plugin)
                if record.version is None
                else self.names.known_version((record.plugin, record.version))
            )
            if number is None:
                continue
            speaker = covering(standing, record)
            held = speaker is not None and speaker.in_force
            mine = (record.plugin, record.version) in superseded
            self._open.append(_Open(record, objectives[record.slo], kind, number, held, mine))
            self._taken[record.slo, kind].add(number)

    def due(self, at: datetime) -> bool:
        """Whether a turn at this moment may change an alert."""
        burning: dict[tuple[str, str], Mask | None] = {}
        again: dict[str, Mask] = {}
        for objective in self.rules.objectives:
            for severity in (PAGE, TICKET):
                burning[objective.name, severity] = self.windows.burning(objective, severity)
            burning[objective.name, EXHAUSTED], again[objective.name] = self._spent(objective, at)
        return (
            self._marked or self._begins(burning) or any(self._moves(item, burning, again, at) for item in self._open)
        )

    def _begins(self, burning: Burning) -> bool:
        return any(
            met is not None and met.sum() > met[list(self._taken.get(key, ()))].sum() for key, met in burning.items()
        )

    def _spent(self, objective: Objective, at: datetime) -> tuple[Mask, Mask]:
        """Return whose budget is spent, but for plugins that have just come, and who has a share of one again."""
        gone, again = self.windows.spent(objective)
        if gone.any():
            longest, taken = (
                max(tier.long_seconds for tier in objective.tiers),
                self._taken.get((objective.name, EXHAUSTED), ()),
            )
            for plugin, first_at in self._first.items():
                number = self.windows.plugin(plugin)
                if number is not None and gone[number] and number not in taken:
                    gone[number] = at - first_at > timedelta(seconds=longest)
        return gone, again

    def _moves(self, item: _Open, burning: Burning, again: Mapping[str, Mask], at: datetime) -> bool:
        objective = item.objective
        if not item.superseded and _moves(item.record.alert, self._reading(item, burning, again), objective, at):
            return True
        if item.held:
            return False
        severity = item.record.severity
        if item.record.version is not None:
            shorts = [tier.short_seconds for tier in objective.tiers if tier.severity == severity]
            if any(self.windows.called(objective, size, severity, item.number) for size in shorts):
                return False
            # Silence may end it (`cycle.endings`): its plugin goes on without the version, or nothing remembers it.
            beside = self.names.versions_of(item.record.plugin)
            if any(
                number != item.number and self.windows.called(objective, min(shorts), severity, number)
                for number in beside
            ):
                return True
        longest = max(tier.long_seconds for tier in objective.tiers)
        return not self.windows.called(objective, longest, severity, item.number)

    def _reading(self, item: _Open, burning: Burning, again: Mapping[str, Mask]) -> bool | None:
        name = item.objective.name
        met = burning[name, item.kind]
        if met is not None and met[item.number]:
            return True
        if item.kind == EXHAUSTED:
            over = bool(again[name][item.number])
        else:
            over = self.windows.quiet(item.objective, item.kind, item.number)
        return False if over else None


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
