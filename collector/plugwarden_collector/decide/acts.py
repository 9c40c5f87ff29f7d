"""What people do, as functions of where things stand: each returns the new standing and what changed. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from plugwarden.contract import QuarantineState, Scope

from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.errors import ConflictError, NotFoundError
from plugwarden_collector.matcher import Matcher
from plugwarden_collector.rules.policy import Enforcement

from .acknowledgement import Acknowledgement
from .changes import Changes, Freeze
from .identity import new_id
from .newcomers import known_again
from .override import overridden
from .quarantine import Quarantine
from .quarantine import release as ended
from .shift import shift
from .silence import Silence
from .standing import Standing

__all__ = [
    "Acted",
    "acknowledge",
    "adopt_clock",
    "approve",
    "decline",
    "ensure_free",
    "exchange",
    "extend",
    "freeze",
    "isolate",
    "release",
    "silence",
    "suggestion",
    "unsilence",
]

Acted = tuple[Standing, Changes]
"""A new standing, and what must be stored before anybody sees it."""

MAX_SILENCES = 400
"""Silences in force and to come: of ten patterns each, all stay compiled (`matcher.KEPT_PATTERNS`)."""


def ensure_free(standing: Standing, scope: Scope) -> None:
    """Raise `ConflictError` when a scope is isolated already."""
    for other in standing.quarantines.values():
        if other.in_force and other.scope == scope:
            raise ConflictError(f"{scope} is {other.state.word} already ({other.id}: {other.reason})")


def isolate(
    standing: Standing,
    scope: Scope,
    reason: str,
    actor: Actor,
    at: datetime,
    *,
    hold: timedelta | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Acted:
    """Return a standing in which a scope is isolated until a person releases it, or for `hold`.

    `evidence` is what was known, such as the forecast of what it costs. The new quarantine is the last one of the changes. Raises
    `ConflictError` when the scope is isolated already.
    """
    ensure_free(standing, scope)
    fresh, changes = standing.copy(), Changes(at=at)
    for other in standing.quarantines.values():
        if other.ended_at is None and other.scope == scope:
            _put(fresh, changes, ended(other, at))  # a suggestion that is hereby followed
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
        known_versions=_known_beside(standing, scope),
        evidence=evidence or {},
    )
    _put(fresh, changes, item)
    changes.decisions.append(
        Draft(
            at, "quarantined", actor.name, str(scope), reason, quarantine_id=item.id, evidence=evidence or None, says=actor.says
        )
    )  # fmt: skip
    return fresh, changes


def suggestion(standing: Standing, identity: str) -> Quarantine:
    """Return the suggestion of that id; raises `NotFoundError` when there is none, `ConflictError` when it is none any more."""
    item = _open(standing, identity)
    if item.state is not QuarantineState.DEGRADED:
        raise ConflictError(f"{identity} is no suggestion: {item.scope} is {item.state.word} already")
    return item


def approve(
    standing: Standing,
    identity: str,
    reason: str,
    actor: Actor,
    at: datetime,
    *,
    hold: timedelta,
    evidence: Mapping[str, Any] | None = None,
    previous: Collection[str] = (),
) -> Acted:
    """Return a standing in which a suggestion has become a quarantine of the automation's, with its evidence and who approved it.

    `evidence` is what is known now, such as the forecast of what it costs, and stands in for what was then; `previous` are versions
    that hosts still have to go back to, and no newcomers. The suggestion ends, for whoever was told of it; the new quarantine is the
    last one of the changes. Its hold is `hold`, and its probation is as any. Raises `NotFoundError` when there is none of that id,
    `ConflictError` when it is no suggestion any more or its scope is isolated already.
    """
    item = suggestion(standing, identity)
    ensure_free(standing, item.scope)
    fresh, changes = standing.copy(), Changes(at=at)
    known = {
        **item.evidence,
        **(evidence or {}),
        "approved_by": str(actor),
        "suggestion": item.id,
        "suggested_at": item.started_at.isoformat(),
    }
    opened = replace(
        item,
        id=new_id("q", item.id, "approved", at),
        state=QuarantineState.QUARANTINED,
        enforcement=Enforcement.ENFORCE,
        started_at=at,
        changed_at=at,
        hold_until=at + hold,
        known_versions=_known_beside(standing, item.scope, item.known_versions, previous),
        evidence=known,
    )
    followed = ended(item, at)
    _put(
        fresh,
        changes,
        replace(followed, evidence={**followed.evidence, "approved_by": str(actor), "quarantine": opened.id}),
    )
    _put(fresh, changes, opened)
    changes.decisions.append(
        Draft(at, "approved", actor.name, str(item.scope), reason, quarantine_id=opened.id, evidence=known, says=actor.says)
    )  # fmt: skip
    return fresh, changes


def decline(
    standing: Standing, identity: str, reason: str, actor: Actor, at: datetime, *, override: timedelta | None = None
) -> Acted:
    """Return a standing in which a suggestion has ended; the automation leaves its scope alone as after a person's release.

    Raises `NotFoundError` when there is none of that id, `ConflictError` when it is no suggestion any more.
    """
    return _end(standing, suggestion(standing, identity), "declined", reason, actor, at, override)


def release(
    standing: Standing, identity: str, reason: str, actor: Actor, at: datetime, *, override: timedelta | None = None
) -> Acted:
    """Return a standing in which a quarantine has ended; the automation leaves its scope alone for `override`, or as long as the
    policy says.

    Raises `NotFoundError` when there is none of that id, `ConflictError` when it has ended already.
    """
    return _end(standing, _open(standing, identity), "released", reason, actor, at, override)


def silence(
    standing: Standing,
    matchers: Sequence[Matcher],
    length: timedelta,
    comment: str,
    actor: Actor,
    at: datetime,
    *,
    starts_at: datetime | None = None,
    owner: str | None = None,
) -> Acted:
    """Return a standing in which nobody is told of some alerts for a while, from now or from `starts_at`; they go on being judged and
    acted upon. A start that has passed is now. Raises `ConflictError` where there are too many already."""
    begin = at if starts_at is None else max(at, starts_at)
    matched = [*map(str, matchers)]
    item = Silence(new_id("s", matched, at), tuple(matchers), begin, begin + length, str(actor), comment, owner)
    kept = [known for known in standing.silences if known.ends_at > at]
    if len(kept) >= MAX_SILENCES:
        raise ConflictError(
            f"there are {MAX_SILENCES} silences already; end some, or write one with a pattern for several"
        )
    fresh, changes = standing.copy(), Changes(at=at, silences=[item])
    fresh.silences = (*kept, item)
    told = {"from": begin, "until": item.ends_at} | ({} if owner is None else {"owner": owner})
    changes.decisions.append(
        Draft(
            at, "silenced", actor.name, _matched(item), comment, quarantine_id=item.id, evidence=told, says=actor.says,
        )
    )  # fmt: skip
    return fresh, changes


def exchange(
    standing: Standing,
    identity: str,
    matchers: Sequence[Matcher],
    starts_at: datetime,
    ends_at: datetime,
    comment: str,
    actor: Actor,
    at: datetime,
) -> Acted:
    """Return a standing in which a silence has taken the place of another, in one entry: nothing is told in between.

    Raises `NotFoundError` when none of that id is in force or to come.
    """
    _silence(standing, identity, at)
    without = standing.copy()
    without.silences = tuple(known for known in standing.silences if known.id != identity)
    begin = max(at, starts_at)
    fresh, changes = silence(without, matchers, ends_at - begin, comment, actor, at, starts_at=begin)
    changes.unsilenced = [identity]
    (entry,) = changes.decisions
    changes.decisions = [replace(entry, evidence={**(entry.evidence or {}), "replaces": identity})]
    return fresh, changes


def extend(
    standing: Standing, identity: str, ends_at: datetime, reason: str, actor: Actor, at: datetime, *, limit: timedelta
) -> Acted:
    """Return a standing in which a silence ends later than it would have, at most `limit` from when it begins or from now.

    Raises `NotFoundError` when none of that id is in force or to come, `ConflictError` when it would not end later, or too late.
    """
    item = _silence(standing, identity, at)
    if ends_at <= item.ends_at:
        raise ConflictError(
            f"{identity} ends at {item.ends_at:%Y-%m-%d %H:%M:%S} as it is; take it back to end it sooner"
        )
    if ends_at > max(at, item.starts_at) + limit:
        raise ConflictError(f"{identity} would last for more than {limit.days} days from now; ask for less")
    longer = replace(item, ends_at=ends_at)
    fresh, changes = standing.copy(), Changes(at=at, silences=[longer])
    fresh.silences = tuple(longer if known.id == identity else known for known in standing.silences)
    told = {"from": item.starts_at, "until": ends_at, "before": item.ends_at}
    changes.decisions.append(
        Draft(
            at, "extended", actor.name, _matched(item), reason, quarantine_id=identity, evidence=told, says=actor.says
        )
    )
    return fresh, changes


def unsilence(standing: Standing, identity: str, reason: str, actor: Actor, at: datetime) -> Acted:
    """Return a standing without a silence. Raises `NotFoundError` when none of that id is in force or to come."""
    item = _silence(standing, identity, at)
    fresh, changes = standing.copy(), Changes(at=at, unsilenced=[identity])
    fresh.silences = tuple(known for known in standing.silences if known.id != identity)
    changes.decisions.append(
        Draft(at, "unsilenced", actor.name, _matched(item), reason, quarantine_id=identity, says=actor.says)
    )
    return fresh, changes


def acknowledge(
    standing: Standing, subject: str, about: str, length: timedelta, reason: str, actor: Actor, at: datetime
) -> Acted:
    """Return a standing in which a person knows of a subject for a while: it is not told again, and its end is. `about` is the subject
    in words. A later word replaces an earlier one."""
    item = Acknowledgement(new_id("k", subject, at), subject, at, at + length, str(actor), reason)
    over = [known.id for known in standing.acknowledgements if known.subject == subject and known.ends_at > at]
    fresh, changes = standing.copy(), Changes(at=at, acknowledgements=[item], unacknowledged=over)
    kept = (known for known in standing.acknowledgements if known.ends_at > at and known.subject != subject)
    fresh.acknowledgements = (*kept, item)
    told = {"subject": subject, "until": item.ends_at}
    changes.decisions.append(
        Draft(at, "acknowledged", actor.name, about, reason, quarantine_id=item.id, evidence=told, says=actor.says)
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


def _known_beside(standing: Standing, scope: Scope, *besides: Collection[str]) -> tuple[str, ...]:
    """Return the versions that are no newcomers beside a scope that is isolated; none where all versions are."""
    if scope.version is None:
        return ()
    return tuple(sorted({*standing.versions_beside(scope.plugin, scope.version), *chain(*besides)}))


def _silence(standing: Standing, identity: str, at: datetime) -> Silence:
    item = next((known for known in standing.silences if known.id == identity and known.ends_at > at), None)
    if item is None:
        raise NotFoundError(
            f"there is no silence {identity!r} in force or to come that a person made; `plugwarden silences list` lists them, and "
            "those of maintenance windows, which the rules end"
        )
    return item


def _open(standing: Standing, identity: str) -> Quarantine:
    item = standing.quarantines.get(identity)
    if item is None:
        raise NotFoundError(f"there is no quarantine {identity!r}; `plugwarden quarantines` lists them")
    if item.ended_at is not None:
        raise ConflictError(f"{identity} ended at {item.ended_at:%Y-%m-%d %H:%M:%S} already")
    return item


def _end(
    standing: Standing, item: Quarantine, kind: str, reason: str, actor: Actor, at: datetime, override: timedelta | None
) -> Acted:
    fresh, changes = standing.copy(), Changes(at=at)
    after = overridden(ended(item, at), str(actor), at, override, declined=kind == "declined")
    _put(fresh, changes, after)
    for known in known_again(item, standing.quarantines):  # a person's word: it is no newcomer any more
        _put(fresh, changes, known)
    until = None if override is None else {"override_until": (at + override).isoformat()}
    changes.decisions.append(
        Draft(at, kind, actor.name, str(item.scope), reason, quarantine_id=item.id, evidence=until, says=actor.says)
    )
    return fresh, changes


def _put(standing: Standing, changes: Changes, item: Quarantine) -> None:
    standing.quarantines[item.id] = item
    changes.quarantines.append(item)


def _matched(item: Silence) -> str:
    return ", ".join(sorted(map(str, item.matchers)))
