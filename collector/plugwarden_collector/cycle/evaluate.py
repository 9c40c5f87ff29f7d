"""One tick: judge, blame, decide. A function of what was observed and where things stood; nothing here reads a clock.

The live loop and the backtest run this same code, so a replay decides what the live collector would have.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.file import Rules

from .alerts import judge, note_versions
from .causes import find_causes, inhibit
from .directives import next_set
from .quarantines import admit_newcomers, advance, quarantine_what_burns
from .tick import Evidence, Observation, Tick

__all__ = ["evaluate"]

REMEMBERED = timedelta(days=7)
"""Ended alerts and quarantines stay in memory this long: longer than any guard rail looks back."""


def evaluate(
    rules: Rules, standing: Standing, seen: Observation, evidence: Evidence, chance: Callable[[], float]
) -> tuple[Standing, Changes]:
    """Return where things stand one tick after `standing`, which stays as it is, and what changed.

    The caller stores the changes before anybody else sees them, and keeps the old standing if that fails.
    """
    tick = Tick(rules, standing.copy(), seen, evidence, chance, Changes(at=seen.at))
    note_versions(tick)
    readings = judge(tick)
    find_causes(tick)
    quarantine_what_burns(tick, readings)
    advance(tick)
    admit_newcomers(tick)
    inhibit(tick, readings)
    _forget(tick.standing, seen.at)
    tick.changes.directives = next_set(tick.standing, tick.rules)
    if tick.changes.directives is not None:
        tick.standing.directives = tick.changes.directives
    return tick.standing, tick.changes


def _forget(standing: Standing, at: datetime) -> None:
    """Drop from memory what no later tick asks for; the database keeps it."""
    for fingerprint, record in list(standing.alerts.items()):
        if record.alert.state is AlertState.INACTIVE and at - record.changed_at > REMEMBERED:
            del standing.alerts[fingerprint]
    for identity, item in list(standing.quarantines.items()):
        if item.ended_at is not None and at - item.ended_at > REMEMBERED:
            del standing.quarantines[identity]
    firing = {key for key, record in standing.alerts.items() if record.alert.state is not AlertState.INACTIVE}
    standing.noted = {note for note in standing.noted if note[0] in firing}
