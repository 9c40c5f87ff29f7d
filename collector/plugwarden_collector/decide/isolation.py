"""From nothing to a suggestion, or from either to an isolation: what the automation does next about a scope. Pure; time and chance are
arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from plugwarden.contract import QuarantineState, Scope

from plugwarden_collector.durations import duration
from plugwarden_collector.rules.policy import Enforcement, Policy

from .guard import SAME_ACTION, goes_on
from .identity import new_id
from .quarantine import AUTOMATION, Quarantine, held_seconds
from .standing import Standing
from .wider import covers
from .word import MANY, Word, word_in

__all__ = ["begin", "narrower", "next_step"]

REMEMBERED = timedelta(hours=24)
"""What was isolated again within this time of its release goes on where it was: its hold doubles, and a person is asked in the end."""


def next_step(
    scope: Scope,
    reason: str,
    policy: Policy,
    enforcement: Enforcement,
    prevented: Sequence[str],
    speaker: Quarantine | None,
    at: datetime,
) -> tuple[str, str] | None:
    """Return the kind of the next decision on a scope, and its reason, as far as policy and guard rails let it go; None where all stays as
    it is. `speaker` is the suggestion that speaks for it already."""
    enforce = enforcement is Enforcement.ENFORCE
    warned = timedelta(seconds=policy.warning_seconds) if policy.is_critical(scope.plugin) else timedelta(0)
    if speaker is not None:
        return ("quarantined", reason) if enforce and not prevented and at - speaker.started_at >= warned else None
    if prevented:
        return "prevented", f"{reason} Not quarantined: {'; '.join(prevented)}."
    if not enforce:
        return "suggested", reason
    if warned:
        text = f"{reason} It is critical, and isolated in {duration(policy.warning_seconds)} unless somebody declines."
        return "warned", text
    return "quarantined", reason


def begin(
    standing: Standing,
    policy: Policy,
    scope: Scope,
    kind: str,
    reason: str,
    evidence: Mapping[str, Any],
    at: datetime,
    chance: Callable[[], float],
    *,
    enforcement: Enforcement,
    word: Word = MANY,
    previous: Iterable[str] = (),
    alert: str | None = None,
) -> Quarantine:
    """Return an isolation of a scope (`quarantined`), or a question to a person (`suggested`, `warned`, `prevented`).

    It is an action of the standing, which is the caller's own, where it counts as one; the caller puts it there.
    """
    enforce = kind == "quarantined"
    repeats = _repeats(standing, scope, word, at) if enforce else 0
    hold: timedelta | None = None
    if enforce and repeats < policy.max_repeats:
        hold = timedelta(seconds=held_seconds(policy, repeats, chance()))
    if enforce and word == MANY:
        if goes_on(scope, standing.quarantines.values(), at):
            evidence = {**evidence, SAME_ACTION: True}
        else:
            standing.actions.append(at)
            standing.actions[:] = [moment for moment in standing.actions if at - moment < timedelta(hours=1)]
    return Quarantine(
        id=new_id("q", scope, at, kind),
        scope=scope,
        state=QuarantineState.QUARANTINED if enforce else QuarantineState.DEGRADED,
        reason=reason,
        actor=AUTOMATION,
        enforcement=enforcement if enforce else Enforcement.SUGGEST,
        started_at=at,
        changed_at=at,
        hold_until=None if hold is None else at + hold,
        repeats=repeats,
        known_versions=tuple(sorted({*standing.versions_beside(scope.plugin, scope.version), *previous})),
        alert=alert,
        evidence=evidence,
    )


def narrower(standing: Standing, wide: Quarantine) -> list[Quarantine]:
    """Return the automatic quarantines within a wider one: they have nothing left to say."""
    return [
        item
        for item in standing.quarantines.values()
        if item.ended_at is None and item.id != wide.id and item.actor == AUTOMATION and covers(wide.scope, item.scope)
    ]


def _repeats(standing: Standing, scope: Scope, word: Word, at: datetime) -> int:
    """How often the scope, or what covers it, was isolated lately and came back; what another process alone bore out says nothing of it."""
    again = [
        item.repeats + 1
        for item in standing.quarantines.values()
        if item.actor == AUTOMATION
        and item.enforcement is Enforcement.ENFORCE
        and item.ended_at is not None
        and at - item.ended_at <= REMEMBERED
        and "taken_back" not in item.evidence
        and word_in(item.evidence).process in {None, word.process}
        and (covers(item.scope, scope) or covers(scope, item.scope))
    ]
    return max(again, default=0)
