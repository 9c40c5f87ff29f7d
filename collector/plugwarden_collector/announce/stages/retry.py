"""Retry: how much may be under way to one receiver, and when what failed is tried again. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ..notice import Notice

__all__ = ["AWAY_SECONDS", "RESOLVED_FOR", "Attempts", "Failed", "picked", "retry"]

MAX_AT_ONCE = 4
"""Deliveries under way to one receiver."""
AWAY_SECONDS = 60.0
"""Longest pause while a receiver does not answer: it hears everything this soon after it came back. Every attempt is kept, and a
receiver that is away for a day leaves 1,440 rows."""
REFUSED_SECONDS = 3600.0
"""Longest pause until what the receiver answers with a refusal (4xx) is offered again: it may have been mended."""
MAX_WAIT_SECONDS = 3600.0
"""Longest pause that a receiver may ask for (`Retry-After`)."""
RESOLVED_FOR = timedelta(hours=1)
"""An event whose subject was refused for so long on end goes, so that those after it are told."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A message that was offered and not taken."""

    attempts: int
    not_before: float
    """When it is offered again, in loop time."""
    refused: bool = False
    """The receiver was there and did not want it, the last time."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """What became of deliveries to one receiver lately. Every change is a new value."""

    failures: int = 0
    """In a row, of whatever message: the receiver is away."""
    not_before: float = 0.0
    """While it is away: when it is asked again, in loop time."""
    left_alone_until: float = 0.0
    """Until when it asked to be left alone (`Retry-After`), in loop time: what it takes meanwhile was on its way before."""
    under_way: frozenset[str] = frozenset()
    """Groups, or subjects of events."""
    failed: Mapping[str, Failed] = field(default_factory=dict)
    """By group, or subject of events."""

    def of(self, key: str) -> int:
        """Return how often a message has failed."""
        return self.failed[key].attempts if key in self.failed else 0

    def begun(self, key: str) -> Attempts:
        """Return the attempts with one more under way."""
        return replace(self, under_way=self.under_way | {key})

    def delivered(self, key: str) -> Attempts:
        """Return the attempts after the receiver has taken a message, and so is there.

        What it was asked with while it was away is the first that it takes again, and lets all go that it missed meanwhile.
        """
        failed = {other: value for other, value in self.failed.items() if other != key}
        if self.failures and self.under_way == {key}:
            failed = {
                other: value if value.refused else replace(value, not_before=0.0) for other, value in failed.items()
            }
        return Attempts(0, self.left_alone_until, self.left_alone_until, self.under_way - {key}, failed)

    def refused(self, key: str, now: float) -> Attempts:
        """Return the attempts after the receiver was there and did not want a message as it is."""
        attempts = self.of(key) + 1
        again = Failed(attempts, now + _pause(attempts, REFUSED_SECONDS), refused=True)
        return Attempts(under_way=self.under_way - {key}, failed={**self.failed, key: again})

    def missed(self, key: str, now: float, wait_seconds: float = 0.0) -> Attempts:
        """Return the attempts after no answer, or one that says that the receiver is in trouble and wants to be left alone for so long."""
        alone = max(self.left_alone_until, now + min(wait_seconds, MAX_WAIT_SECONDS))
        not_before = max(alone, now + _pause(self.failures, AWAY_SECONDS))
        failed = {**self.failed, key: Failed(self.of(key) + 1, not_before)}
        return Attempts(self.failures + 1, not_before, alone, self.under_way - {key}, failed)

    def offered_at(self, key: str) -> float:
        """Return when a message may be offered, in loop time; 0 where nothing keeps it."""
        return max(self.not_before, self.failed[key].not_before if key in self.failed else 0.0)

    def keeping(self, keys: Collection[str]) -> Attempts:
        """Return the attempts at those messages that still wait."""
        return replace(self, failed={key: value for key, value in self.failed.items() if key in keys})


def retry(waiting: Iterable[Notice], attempts: Attempts, now: float) -> list[Notice]:
    """Return what to send to a receiver now, of what waits for it in order of importance.

    A receiver that is away is asked with one notice, another one each time: it may be a single one that it fails at.
    """
    found: dict[str, Notice] = {}
    for item in waiting:
        found.setdefault(item.group, item)  # a group of very many goes in several notices, one after the other
    return [found[key] for key in picked(found, attempts, now)]


def picked(keys: Iterable[str], attempts: Attempts, now: float) -> list[str]:
    """Return the same of keys."""
    if now < attempts.not_before or (attempts.failures and attempts.under_way):
        return []
    room = 1 if attempts.failures else MAX_AT_ONCE - len(attempts.under_way)
    ready = [key for key in keys if _may_be_sent(key, attempts, now)]
    if attempts.failures:
        ready.sort(key=attempts.of)
    return ready[:room]


def _may_be_sent(key: str, attempts: Attempts, now: float) -> bool:
    return key not in attempts.under_way and (key not in attempts.failed or attempts.failed[key].not_before <= now)


def _pause(doublings: int, most_seconds: float) -> float:
    # A receiver may be away for months: 2.0 to the power of 1024 is no float.
    return min(2.0 ** min(doublings, 30), most_seconds)
