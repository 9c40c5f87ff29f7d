"""One tick: judge, blame, decide. A function of what was observed and where things stood; nothing here reads a clock.

The live loop and the backtest run this same code, so a replay decides what the live collector would have.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.watch import Watch
from plugwarden_collector.rules.file import Rules

from .alerts import judge, note_versions
from .asked import Asked
from .budgets import keep_budgets
from .directives import next_set
from .facts import facts_of, with_facts
from .response import respond
from .speaker import inhibit
from .tick import Evidence, Observation, Tick
from .trouble import find_trouble

__all__ = ["evaluate", "forget"]

REMEMBERED = timedelta(days=7)
"""Ended alerts and quarantines stay in memory this long: longer than any guard rail looks back."""
ENDED_REMEMBERED = timedelta(hours=1)
"""Ended alerts of an `[[alert]]` stay in memory this long: each row that its statement ever gave is one."""
MAX_ENDED = 1_000
"""Most of them in memory, the latest: ten looks of as many rows as a statement may give."""
NOTED = timedelta(minutes=10)
"""A trouble that was not seen for this long is another one when it is back, and is recorded again."""


def evaluate(
    rules: Rules,
    standing: Standing,
    watch: Watch,
    seen: Observation,
    evidence: Evidence,
    chance: Callable[[], float],
) -> tuple[Standing, Watch, Changes]:
    """Return where things stand one tick after `standing`, what is suspected after `watch`, and what changed; both stay as they are.

    The caller stores the changes before anybody else sees them, and keeps the old standing and the old watch if that fails.
    """
    asked = Asked(evidence, chance)
    tick = Tick(rules, standing.copy(), watch, seen, asked, asked.chance, Changes(at=seen.at))
    note_versions(tick)
    judge(tick)
    keep_budgets(tick)
    troubles = find_trouble(tick)
    looked = tick.watch
    respond(tick, troubles)
    if tick.changes.decisions:  # what they rest on is put together for them alone
        tick.changes.decisions = with_facts(tick.changes.decisions, facts_of(tick, troubles, standing, looked, asked))
    inhibit(tick)
    forget(tick.standing, seen.at)
    tick.changes.directives = next_set(tick.standing, tick.rules)
    if tick.changes.directives is not None:
        tick.standing.directives = tick.changes.directives
    return tick.standing, tick.watch, tick.changes


def forget(standing: Standing, at: datetime) -> None:
    """Drop from memory what no later tick asks for; the database keeps it."""
    for fingerprint, record in list(standing.alerts.items()):
        if record.alert.state is AlertState.INACTIVE and at - record.changed_at > REMEMBERED:
            del standing.alerts[fingerprint]
    ended = [
        record for record in standing.alerts.values() if record.watched and record.alert.state is AlertState.INACTIVE
    ]
    ended.sort(key=lambda record: record.changed_at, reverse=True)
    for place, record in enumerate(ended):
        if place >= MAX_ENDED or at - record.changed_at > ENDED_REMEMBERED:
            del standing.alerts[record.alert.fingerprint]
    for identity, item in list(standing.quarantines.items()):
        if item.ended_at is not None and at - item.ended_at > REMEMBERED:
            del standing.quarantines[identity]
    standing.noted = {key: seen_at for key, seen_at in standing.noted.items() if at - seen_at <= NOTED}
