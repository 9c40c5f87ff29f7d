"""What people do, as functions of where things stand: each returns the new standing and what changed. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from plugwarden.contract import QuarantineState, Scope

from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.errors import ConflictError, NotFoundError
from plugwarden_collector.rules.policy import Enforcement

from .changes import Changes, Freeze
from .identity import new_id
from .quarantine import Quarantine
from .quarantine import release as ended
from .shift import shift
from .silence import Silence
from .standing import Standing

__all__ = ["Acted", "adopt_clock", "freeze", "isolate", "release", "silence", "unsilence"]

Acted = tuple[Standing, Changes]
"""A new standing, and what must be stored before anybody sees it."""


def isolate(
    standing: Standing, scope: Scope, reason: str, actor: Actor, at: datetime, *, hold: timedelta | None = None
) -> Acted:
    """Return a standing in which a scope is isolated until a person releases it, or for `hold`.

    The new quarantine is the last one of the changes. Raises `ConflictError` when the scope is isolated already.
    """
    fresh, changes = standing.copy(), Changes(at=at)
    for other in standing.quarantines.values():
        if other.ended_at is not None or other.scope != scope:
            continue
        if other.in_force:
            raise ConflictError(f"{scope} is {other.state.word} already ({other.id}: {other.reason})")
        _put(fresh, changes, ended(other, at))  # a suggestion that is hereby followed
    known = standing.versions_beside(scope.plugin, scope.version)
    item = Quarantine(
        id=new_id("q", scope, at),
        scope=scope,
        state=QuarantineState.QUARANTINED,
        reason=reason,
        actor=str(actor),
        enforcement=Enforcement.ENFORCE,
        started_at=at,
        changed_at=at,
        hold_until=None if hold is None else at + hold,
        known_versions=known if scope.version is not None else (),
    )
    _put(fresh, changes, item)
    changes.decisions.append(
        Draft(at, "quarantined", actor.name, str(scope), reason, quarantine_id=item.id, says=actor.says)
    )
    return fresh, changes


def release(standing: Standing, identity: str, reason: str, actor: Actor, at: datetime) -> Acted:
    """Return a standing in which a quarantine has ended; the automation leaves its scope alone for a while.

    Raises `NotFoundError` when there is none of that id, `ConflictError` when it has ended already.
    """
    item = standing.quarantines.get(identity)
    if item is None:
        raise NotFoundError(f"there is no quarantine {identity!r}; `plugwarden quarantines` lists them")
    if item.ended_at is not None:
        raise ConflictError(f"{identity} ended at {item.ended_at:%Y-%m-%d %H:%M:%S} already")
    fresh, changes = standing.copy(), Changes(at=at)
    after = ended(item, at)
    _put(fresh, changes, replace(after, evidence={**after.evidence, "released_by": str(actor)}))
    changes.decisions.append(
        Draft(at, "released", actor.name, str(item.scope), reason, quarantine_id=identity, says=actor.says)
    )
    return fresh, changes


def silence(
    standing: Standing, matchers: Mapping[str, str], length: timedelta, comment: str, actor: Actor, at: datetime
) -> Acted:
    """Return a standing in which nobody is told of some alerts for a while; they go on being judged and acted upon."""
    item = Silence(new_id("s", matchers, at), matchers, at, at + length, str(actor), comment)
    fresh, changes = standing.copy(), Changes(at=at, silences=[item])
    fresh.silences = (*(known for known in standing.silences if known.ends_at > at), item)
    changes.decisions.append(
        Draft(
            at, "silenced", actor.name, _matched(item), comment, quarantine_id=item.id,
            evidence={"until": item.ends_at}, says=actor.says,
        )
    )  # fmt: skip
    return fresh, changes


def unsilence(standing: Standing, identity: str, reason: str, actor: Actor, at: datetime) -> Acted:
    """Return a standing without a silence. Raises `NotFoundError` when none of that id is in force."""
    item = next((known for known in standing.silences if known.id == identity and known.ends_at > at), None)
    if item is None:
        raise NotFoundError(f"there is no silence {identity!r} in force")
    fresh, changes = standing.copy(), Changes(at=at, unsilenced=[identity])
    fresh.silences = tuple(known for known in standing.silences if known.id != identity)
    changes.decisions.append(
        Draft(at, "unsilenced", actor.name, _matched(item), reason, quarantine_id=identity, says=actor.says)
    )
    return fresh, changes


def freeze(standing: Standing, frozen: bool, reason: str, actor: Actor, at: datetime) -> Acted:
    """Return a standing in which the automation is switched off, or on again. Quarantines in force stay."""
    fresh, why = standing.copy(), reason if frozen else None
    fresh.frozen = why
    draft = Draft(at, "frozen" if frozen else "unfrozen", actor.name, "automation", reason, says=actor.says)
    return fresh, Changes(at=at, freeze=Freeze(why), decisions=[draft])


def adopt_clock(standing: Standing, total_seconds: float, at: datetime) -> Acted:
    """Return a standing whose holds and silences have moved with a clock that was put right.

    `total_seconds` is of all steps of the clock that were ever taken for true. What is to happen after a length of time moves by
    what was added since somebody last looked, and by nothing where nobody did.
    """
    by = 0.0 if standing.shifted_seconds is None else total_seconds - standing.shifted_seconds
    fresh, changes = shift(standing, by, at)
    fresh.shifted_seconds = changes.shifted_seconds = total_seconds
    text = f"the wall clock was taken for true {by:+.0f} s from where it was; holds and silences move by as much"
    changes.decisions.append(Draft(at, "clock_adopted", "automation", "clock", text, evidence={"seconds": by}))
    return fresh, changes


def _put(standing: Standing, changes: Changes, item: Quarantine) -> None:
    standing.quarantines[item.id] = item
    changes.quarantines.append(item)


def _matched(item: Silence) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(item.matchers.items()))
