"""The line to one receiver: how much may be under way, and when what failed is tried again. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .outbox import Message

__all__ = ["Line"]

MAX_AT_ONCE = 4
"""Deliveries under way to one receiver."""
AWAY_SECONDS = 10.0
"""While a receiver does not answer it is asked this often, so that it hears everything this soon after it came back."""
REFUSED_SECONDS = 300.0
"""A message that the receiver answers with a refusal (4xx) is offered again this often: it may have been mended."""


@dataclass(slots=True)
class Line:
    """What became of deliveries lately."""

    failures: int = 0
    """In a row, of whatever message: the receiver is away."""
    not_before: float = 0.0
    """While it is away: when it is asked again."""
    under_way: set[str] = field(default_factory=set)
    """Keys of subjects."""
    tried: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Key -> (attempts that failed, when it is tried again)."""

    def next(self, waiting: Iterable[Message], now: float) -> list[Message]:
        """What to send now, of what waits in order of importance.

        A receiver that is away is asked with one message, another one each time: it may be a single one that it fails at.
        """
        if now < self.not_before or (self.failures and self.under_way):
            return []
        room = 1 if self.failures else MAX_AT_ONCE - len(self.under_way)
        ready = [
            item
            for item in waiting
            if item.subject.key not in self.under_way and self.tried.get(item.subject.key, (0, 0.0))[1] <= now
        ]
        if self.failures:
            ready.sort(key=lambda item: self.attempts(item.subject.key))
        return ready[:room]

    def attempts(self, key: str) -> int:
        """How often a message has failed."""
        return self.tried.get(key, (0, 0.0))[0]

    def delivered(self, key: str) -> None:
        """The receiver has taken it, and so it is there."""
        self.failures, self.not_before = 0, 0.0
        self.tried.pop(key, None)

    def refused(self, key: str, now: float) -> None:
        """The receiver is there and does not want it as it is."""
        self.failures, self.not_before = 0, 0.0
        attempts = self.attempts(key) + 1
        self.tried[key] = (attempts, now + min(2.0**attempts, REFUSED_SECONDS))

    def missed(self, key: str, now: float) -> None:
        """No answer, or one that says that it is in trouble."""
        self.failures += 1
        self.not_before = now + min(2.0 ** (self.failures - 1), AWAY_SECONDS)
        self.tried[key] = (self.attempts(key) + 1, self.not_before)

    def forget(self, keys: set[str]) -> None:
        """Keep of what was tried only what still waits."""
        self.tried = {key: value for key, value in self.tried.items() if key in keys}
