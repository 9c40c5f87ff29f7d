"""What a receiver made of a message, whatever kind it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Answer", "Verdict"]


class Verdict(StrEnum):
    """What to do with a message that was offered."""

    TAKEN = "taken"
    REFUSED = "refused"
    """The receiver is there and does not want it as it is."""
    MISSED = "missed"
    """There was no answer, or one that says that the receiver is in trouble."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One delivery's end."""

    verdict: Verdict
    error: str | None = None
    """In a sentence; None when it was taken. It holds nothing of the receiver's address."""
    wait_seconds: float = 0.0
    """How long the receiver wants to be left alone; 0 where it did not say."""
