"""Causes that several plugins share: a place they have in common, or the moment at which they began to fail."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import log, sqrt

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import percent

from .error_kinds import ErrorKind, alike, kind_of, leading_kind
from .explanation import Excused, SharedCause
from .factors import Condition
from .onset import TOGETHER, chance_together, shared_odds_nats
from .sample import ATTRIBUTES, PLACES, Sample
from .suspect import VERSION, Blamed, Suspect, blamed_for, suspect

__all__ = ["Beside", "Member", "shared_causes"]

FILLED_RATIO = 0.8
"""Share of a plugin's calls in a place that must be of the factor before the place explains it."""
UNUSUAL = 2.5
"""Standard deviations, in log-odds, by which a plugin fails more than the others before the shared cause is not all of it."""
LEAST_SPREAD = 0.8
"""Least standard deviation of that: plugins that use the same downstream use it more or less often."""
MOST_LOG_ODDS = 3.0
"""Log-odds beyond which rates are alike: of what always calls a dead downstream, all calls fail or 95 % do."""
OWN_RATIO = 0.05
"""Share of the others' errors below which an error is a plugin's own."""
LATE = 10 * TOGETHER
"""Time after which a seldom called plugin with the others' outward errors no longer joins them."""
EVERYTHING_RATIO = 0.5
"""Share of the running plugins from which it is everything that fails (Envoy's panic threshold)."""
_PLACES = {ATTRIBUTES.index(name): name for name in PLACES}


@dataclass(frozen=True, slots=True)
class Member:
    """One factor of one plugin."""

    suspect: Suspect
    blamed: Blamed

    @property
    def plugin(self) -> str:
        """Return the plugin's name."""
        return self.suspect.plugin


@dataclass(frozen=True, slots=True)
class Beside:
    """A factor that stands although a shared cause is near."""

    member: Member
    cause: str
    """The shared cause, in words."""


def shared_causes(suspects: Sequence[Suspect], running: int) -> tuple[list[SharedCause], list[Member], list[Beside]]:
    """Return the causes that plugins share, the factors that they do not touch, and those that they do not explain."""
    left = [Member(item, blamed) for item in suspects for blamed in item.blamed]
    causes: list[SharedCause] = []
    beside: list[Beside] = []
    for find in (_place, _moment):
        while len({member.plugin for member in left}) > 1:
            found = find(left, running)
            if found is None:
                break
            kind, name, members = found
            cause, others = _cause(kind, name, members, running)
            left = [member for member in left if member not in members]
            causes.append(cause)
            beside.extend(others)
    return causes, left, beside


def _place(left: Sequence[Member], running: int) -> tuple[str, str, list[Member]] | None:
    """Return the place that most plugins fail in while they are well elsewhere."""
    found: defaultdict[Condition, list[Member]] = defaultdict(list)
    for member in left:
        if not member.suspect.known or not (member.blamed.has(_PLACES) or member.blamed.sender):
            continue
        for attribute in _PLACES:
            value = _filled(member, attribute)
            if value is not None:
                found[attribute, value].append(member)
    order = {attribute: at for at, attribute in enumerate(_PLACES)}
    ranked = sorted(found.items(), key=lambda item: (-_plugins(item[1]), order[item[0][0]], item[0][1]))
    for (attribute, value), members in ranked:
        if _plugins(members) < 2:
            break
        joined = members + [
            member
            for member in left
            if member not in members and member.suspect.known and _lies_in(member, (attribute, value), members)
        ]
        fitting = _without_own_kind(joined)
        # Of two plugins in one place neither is the rule that the other departs from.
        return ATTRIBUTES[attribute], value, fitting if _plugins(fitting) >= 2 else joined
    return None


def _plugins(members: Iterable[Member]) -> int:
    return len({member.plugin for member in members})


def _filled(member: Member, attribute: int) -> str | None:
    """Return the one value of a place that holds a factor, if it fills it, and the plugin is called elsewhere as well."""
    samples = member.suspect.samples
    name = ATTRIBUTES[attribute]
    values = {getattr(samples[at], name) for at in member.blamed.factor.leaves if samples[at].bad}
    if member.blamed.sender:
        values = {getattr(item, name) for item in samples if item.instance == member.blamed.sender}
    if len(values) != 1:
        return None
    (value,) = values
    if not value or len({getattr(sample, name) for sample in samples if sample.total}) < 2:
        return None
    rest = [item for item in member.blamed.factor.conditions if item[0] not in _PLACES]
    place = member.suspect.within([*rest, (attribute, value)])
    inside = set(member.suspect.within(member.blamed.conditions))
    total = sum(samples[at].total for at in place)
    return value if sum(samples[at].total for at in place if at in inside) >= FILLED_RATIO * total else None


def _lies_in(member: Member, place: Condition, members: Sequence[Member]) -> bool:
    """Whether a plugin that is called nowhere else fails in a place, and began to when the others did."""
    samples = member.suspect.samples
    name, value = ATTRIBUTES[place[0]], place[1]
    if any(getattr(sample, name) != value for sample in samples if sample.total):
        return False
    return any(abs(member.blamed.since - other.blamed.since) <= TOGETHER for other in members)


def _moment(left: Sequence[Member], running: int) -> tuple[str, str, list[Member]] | None:
    """Return the plugins that began to fail at one moment everywhere, if one reason is likelier than one for each."""
    known = [member for member in left if member.suspect.known]
    # What is bad in one version while others are well, or in one place, was not brought about by something outside of both.
    everywhere = [member for member in known if not member.blamed.has((VERSION, *_PLACES)) and not member.blamed.sender]
    everywhere.sort(key=lambda member: (member.blamed.since, member.plugin))
    best: list[Member] = []
    for first in everywhere:
        until = first.blamed.since + TOGETHER
        group = _without_own_kind([item for item in everywhere if first.blamed.since <= item.blamed.since <= until])
        if _plugins(group) > _plugins(best) and _likely(group, running):
            best = group
    if not best:
        return None
    start = min(member.blamed.since for member in best)
    late = [member for member in known if member not in best and _joins(member, best, start)]
    hit = _plugins(best) + _plugins(late)
    kind = "everything" if hit >= 3 and hit >= EVERYTHING_RATIO * running else "simultaneous"
    return kind, "", best + late


def _likely(group: Sequence[Member], running: int) -> bool:
    """Whether plugins that began together are likelier to share a reason than to have one each."""
    hit = _plugins(group)
    if hit == 2:
        # Two at once are not rare enough: only errors that point at the same thing outside tell that it is one.
        one, other = _pooled(group[:1]), _pooled(group[1:])
        outward = all(leading_kind(errors) is ErrorKind.OUTWARD for errors in (one, other))
        if not outward or not alike(one, other):
            return False
    return shared_odds_nats(hit, running) > 0


def _joins(member: Member, group: Sequence[Member], start: datetime) -> bool:
    """Whether a plugin that began later, or shows it in fewer places, fails as the others do."""
    if member.blamed.has((VERSION,)) or not -TOGETHER <= member.blamed.since - start <= LATE:
        return False
    errors = member.blamed.errors
    return bool(errors) and leading_kind(errors) is ErrorKind.OUTWARD and alike(errors, _pooled(group))


def _without_own_kind(members: Sequence[Member]) -> list[Member]:
    """Return the members without those that fail by errors of their own code which most of the others do not have."""
    leading = Counter(_leading(member) for member in members)
    return [
        member
        for member in members
        if leading_kind(member.blamed.errors) is not ErrorKind.INWARD
        or 2 * (leading[_leading(member)] - 1) >= len(members) - 1
    ]


def _leading(member: Member) -> str:
    """Return the type of error that a plugin has most of."""
    errors = member.blamed.errors
    return max(errors, key=lambda name: (errors[name], name), default="")


def _pooled(members: Iterable[Member]) -> Counter[str]:
    errors: Counter[str] = Counter()
    for member in members:
        errors.update(member.blamed.errors)
    return errors


def _cause(kind: str, name: str, members: Sequence[Member], running: int) -> tuple[SharedCause, list[Beside]]:
    """Return a shared cause and those of its plugins that fail more than it explains."""
    words = f"{kind} {name}".strip()
    beside: list[Beside] = []
    excused: list[Member] = []
    for member in members:
        others = [item for item in members if item.plugin != member.plugin]
        own = _own_errors(member, others)
        more = () if own else _failing_more(member, others)
        beside.extend(Beside(Member(own or member.suspect, blamed), words) for blamed in (own.blamed if own else more))
        if member.blamed not in more:
            excused.append(member)
    if _plugins(excused) < 2:
        beside, excused = [], list(members)
    onsets = [
        min(item.blamed.since for item in members if item.plugin == plugin)
        for plugin in sorted({item.plugin for item in members})
    ]
    errors = _pooled(excused)
    cause = SharedCause(
        kind,
        name,
        min(onsets),
        tuple(
            Excused(
                member.suspect.scope(member.blamed.conditions),
                member.blamed.since,
                round(member.blamed.factor.total),
                round(member.blamed.factor.bad),
            )
            for member in sorted(excused, key=lambda item: (item.plugin, item.blamed.conditions))
        ),
        tuple(sorted(errors.items(), key=lambda item: (-item[1], item[0]))),
        chance := chance_together(onsets, running),
        _why(kind, name, onsets, running, chance),
    )
    return cause, beside


def _why(kind: str, name: str, onsets: Sequence[datetime], running: int, chance: float) -> str:
    """Return in a sentence what the plugins have in common."""
    if name:
        return f"{len(onsets)} plugins fail in {kind} {name} and are well elsewhere"
    span = duration((max(onsets) - min(onsets)).total_seconds())
    return (
        f"{len(onsets)} of {max(running, len(onsets))} running plugins ({percent(len(onsets) / max(running, len(onsets)))}) began to fail "
        f"within {span} of each other; by accident that happens once in {1 / max(chance, 1e-12):,.0f} times"
    )


def _failing_more(member: Member, others: Sequence[Member]) -> list[Blamed]:
    """Return what of a plugin fails so much more than the others that the cause they share does not explain it."""
    rates = [_log_odds(item.blamed.factor.bad, item.blamed.factor.total) for item in others]
    mean = sum(rates) / len(rates)
    spread = sqrt(sum((rate - mean) ** 2 for rate in rates) / max(len(rates) - 1, 1))
    limit = mean + UNUSUAL * max(spread, LEAST_SPREAD)
    factor = member.blamed.factor
    more = [part for part in factor.parts or (factor,) if _log_odds(part.bad, part.total, low=True) > limit]
    if len(more) == len(factor.parts) or more == [factor]:
        return [member.blamed] if more else []
    return [blamed_for(member.suspect.samples, part, member.blamed.since) for part in more]


def _log_odds(bad: float, total: float, *, low: bool = False) -> float:
    """Return the log-odds of a rate, or the lower end of what the counts allow (two standard errors)."""
    good = max(total - bad, 0.0)
    odds = log((bad + 0.5) / (good + 0.5))
    if low:
        odds -= 2 * sqrt(1 / (bad + 0.5) + 1 / (good + 0.5))
    return max(-MOST_LOG_ODDS, min(MOST_LOG_ODDS, odds))


def _own_errors(member: Member, others: Sequence[Member]) -> Suspect | None:
    """Return a plugin with its own errors alone, where they make a fault by themselves."""
    theirs = _pooled(others)
    total = sum(theirs.values())
    own = {
        name
        for name in member.blamed.errors
        if kind_of(name) is not ErrorKind.OUTWARD and theirs.get(name, 0) <= OWN_RATIO * total
    }
    if not own or not total:
        return None
    samples = [_only_errors(sample, own) for sample in member.suspect.samples]
    found = suspect(member.plugin, samples)
    return found if found.blamed else None


def _only_errors(sample: Sample, names: set[str]) -> Sample:
    errors = {name: calls for name, calls in sample.errors.items() if name in names}
    return replace(sample, bad=min(sum(errors.values()), sample.bad), errors=errors)
