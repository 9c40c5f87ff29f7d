"""A second reckoning of error budgets: from every single call and all that was told of limits, in plain Python, by nothing of the product.

What belongs to a period of the calendar is found by what a place's clock shows, not by reckoning its bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from fractions import Fraction
from zoneinfo import ZoneInfo

__all__ = ["Call", "Excluded", "Left", "Promise", "Told", "left_of"]


@dataclass(frozen=True)
class Call:
    """One call as its host told it."""

    at: datetime
    plugin: str = "csv"
    version: str = "1"
    outcome: str = "success"
    source: str = ""
    reason: str = ""
    seconds: float = 0.01
    operation: str = "run"


@dataclass(frozen=True)
class Told:
    """What one host process told of an operation at a moment; None is what it did not."""

    at: datetime
    plugin: str = "csv"
    version: str = "1"
    operation: str = "run"
    process: str = "one"
    places: int | None = None
    """Of its bulkhead."""
    expected: int | None = None
    """Calls at once that its manifest expects."""
    running: int | None = 0
    most: int | None = None
    """Most that ran at once since the last time."""
    rate: float | None = None
    asked: float | None = None
    """Calls a second that asked its rate limit, over a minute."""

    def of(self, resource: str) -> tuple[Fraction, Fraction] | None:
        """Return what is used and the limit, of what it says both of."""
        if resource == "rate":
            limit, used = self.rate, self.asked
        else:
            limit = self.expected if self.places is None else self.places
            used = max((item for item in (self.running, self.most) if item is not None), default=None)
        return None if not limit or used is None else (Fraction(used), Fraction(limit))


@dataclass(frozen=True)
class Promise:
    """An objective, as its rules say it."""

    name: str
    target: str
    """A decimal number, such as `0.99`."""
    days: float | None = None
    """Of a period that rolls."""
    unit: str = ""
    zone: str = "UTC"
    threshold_seconds: float | None = None
    plugins: str = "*"
    owner: str = ""
    versions: tuple[str, ...] = ("*",)
    operations: tuple[str, ...] = ("*",)
    slice_minutes: int = 0
    """0: calls count, and no slices."""
    slice_target: str = "1"
    slice_min_calls: int = 1
    empty: str = "none"
    resource: str = ""
    """Of saturation; empty: calls count, or slices of them."""
    full_at: str = "1"


@dataclass(frozen=True)
class Excluded:
    """What a person left out."""

    starts_at: datetime
    ends_at: datetime
    plugins: str = "*"
    objectives: str = "*"
    owners: str = "*"


@dataclass(frozen=True)
class Left:
    """What is left of a budget."""

    total: int
    bad: int
    remaining: Fraction | None
    by_version: dict[str, tuple[int, int]] = field(default_factory=dict)


def left_of(
    calls: Iterable[Call],
    promise: Promise,
    plugin: str,
    at: datetime,
    excluded: Sequence[Excluded] = (),
    told: Sequence[Told] = (),
) -> Left:
    """Return what is left of a plugin's budget at a moment."""
    if promise.resource:
        return _of_minutes(calls, told, promise, plugin, at, excluded)
    if promise.slice_minutes:
        return _of_slices(calls, promise, plugin, at, excluded)
    by_version: dict[str, tuple[int, int]] = {}
    for call in calls:
        if call.plugin != plugin or not fnmatchcase(plugin, promise.plugins):
            continue
        if not _narrowed(call, promise):
            continue
        if not _in_period(call.at, promise, at) or _left_out(call, promise, excluded):
            continue
        good = _good(call, promise)
        if good is None:
            continue
        total, bad = by_version.get(call.version, (0, 0))
        by_version[call.version] = total + 1, bad + (not good)
    total, bad = (sum(item[place] for item in by_version.values()) for place in (0, 1))
    allowed = total * (1 - Fraction(promise.target))
    return Left(total, bad, 1 - bad / allowed if total else None, by_version)


def _of_slices(
    calls: Iterable[Call], promise: Promise, plugin: str, at: datetime, excluded: Sequence[Excluded]
) -> Left:
    """Walk through time slice by slice, as far as they are over, and look at each by itself."""
    length = timedelta(minutes=promise.slice_minutes)
    mine = [
        call
        for call in calls
        if call.plugin == plugin and fnmatchcase(plugin, promise.plugins) and _narrowed(call, promise)
    ]
    of_slice: dict[datetime, list[bool]] = {}
    for call in mine:
        good = _good(call, promise)
        if good is not None:
            of_slice.setdefault(_full(call.at, promise.slice_minutes), []).append(good)
    begins, total, bad, seen = _full(at, promise.slice_minutes) - length, 0, 0, False
    while _slice_counts(begins, length, promise, at):
        said = of_slice.get(begins, [])
        enough = len(said) >= promise.slice_min_calls
        seen = seen or enough
        corrected = any(
            item.starts_at < begins + length and item.ends_at > begins and _about(item, plugin, promise)
            for item in excluded
        )
        if not corrected and (enough or promise.empty == "good"):
            total += 1
            bad += enough and Fraction(sum(said), len(said)) < Fraction(promise.slice_target)
        begins -= length
    if not seen:
        return Left(0, 0, None)
    return Left(total, bad, 1 - bad / (total * (1 - Fraction(promise.target))) if total else None)


def _of_minutes(
    calls: Iterable[Call],
    told: Sequence[Told],
    promise: Promise,
    plugin: str,
    at: datetime,
    excluded: Sequence[Excluded],
) -> Left:
    """Look at each minute that somebody told of a limit in, once it is over."""
    called = {
        _full(call.at, 1)
        for call in calls
        if call.plugin == plugin and _narrowed(call, promise) and _good(call, promise) is not None
    }
    of_minute: dict[datetime, list[tuple[Fraction, Fraction]]] = {}
    for item in told:
        said = item.of(promise.resource)
        if said is not None and item.plugin == plugin and _narrowed(item, promise):
            of_minute.setdefault(_full(item.at, 1), []).append(said)
    length, total, bad = timedelta(minutes=1), 0, 0
    for begins, uses in of_minute.items():
        if begins >= _full(at, 1) or not _slice_counts(begins, length, promise, at):
            continue
        if not fnmatchcase(plugin, promise.plugins) or not (begins in called or any(used for used, _ in uses)):
            continue
        if any(
            item.starts_at < begins + length and item.ends_at > begins and _about(item, plugin, promise)
            for item in excluded
        ):
            continue
        total += 1
        bad += any(used >= Fraction(promise.full_at) * limit for used, limit in uses)
    return Left(total, bad, 1 - bad / (total * (1 - Fraction(promise.target))) if total else None)


def _full(at: datetime, minutes: int) -> datetime:
    return at.replace(minute=at.minute // minutes * minutes if minutes < 60 else 0, second=0, microsecond=0)


def _slice_counts(begins: datetime, length: timedelta, promise: Promise, at: datetime) -> bool:
    if promise.days is None:
        return _shown(begins, promise) == _shown(at, promise)
    return begins >= _full(at, promise.slice_minutes or 1) - timedelta(days=promise.days)


def _narrowed(call: Call | Told, promise: Promise) -> bool:
    """Whether a call, or what is told, is of one of the versions and operations that a promise is about."""
    said = ((call.version, promise.versions), (call.operation, promise.operations))
    return all(any(fnmatchcase(name, pattern) for pattern in patterns) for name, patterns in said)


def _good(call: Call, promise: Promise) -> bool | None:
    """None: the promise is not about such a call."""
    if call.outcome == "cancelled" or call.source == "caller":
        return None
    if call.outcome == "rejected":
        return False if (call.reason, call.source) == ("circuit_open", "plugin") else None
    if promise.threshold_seconds is not None:
        return call.seconds <= promise.threshold_seconds
    return not (call.outcome in ("error", "timeout") and call.source == "plugin")


def _in_period(called_at: datetime, promise: Promise, at: datetime) -> bool:
    if called_at > at:
        return False
    if promise.days is None:
        return _shown(called_at, promise) == _shown(at, promise)
    # A period that rolls begins with the next full minute; after 35 days there are full hours alone.
    begins = at - timedelta(days=promise.days)
    marks = {"second": 0, "microsecond": 0} if promise.days <= 35 else {"minute": 0, "second": 0, "microsecond": 0}
    return called_at.replace(**marks) > begins


def _shown(at: datetime, promise: Promise) -> tuple[int, ...]:
    """Return what a clock of the place shows of the period that a moment is in."""
    local = at.replace(tzinfo=UTC).astimezone(ZoneInfo(promise.zone))
    match promise.unit:
        case "week":
            return local.isocalendar()[:2]
        case "month":
            return local.year, local.month
        case "quarter":
            return local.year, (local.month - 1) // 3
        case _:
            return (local.year,)


def _left_out(call: Call, promise: Promise, excluded: Iterable[Excluded]) -> bool:
    return any(item.starts_at <= call.at < item.ends_at and _about(item, call.plugin, promise) for item in excluded)


def _about(item: Excluded, plugin: str, promise: Promise) -> bool:
    return (
        fnmatchcase(plugin, item.plugins)
        and fnmatchcase(promise.name, item.objectives)
        and fnmatchcase(promise.owner, item.owners)
    )
