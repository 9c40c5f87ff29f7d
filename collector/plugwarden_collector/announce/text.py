"""What people read of a message. Pure."""

from __future__ import annotations

from datetime import datetime

from plugwarden_collector.wording import one_line

from .message import Ending, Message

__all__ = ["describe", "end_sentence", "moment"]

_WORDS = {
    "over": "It is over",
    "resolved": "It is over",
    "common_cause_over": "It is over",
    "suspicion_over": "The suspicion is over",
    "approved": "It was followed",
    "taken_back": "It was taken back",
    "widened": "A wider scope was isolated",
}
"""Kind of an ending -> how the sentence about it begins; other kinds are verbs, such as `released`."""


def describe(message: Message) -> str:
    """Return what a receiver is told beside the summary: of an end how it came about, of a late beginning that it is over."""
    if message.ended is None:
        return message.subject.description
    return end_sentence(message.ended)


def end_sentence(ended: Ending) -> str:
    """Return how something ended, who did it and why, in one line."""
    how = _WORDS.get(ended.kind, f"It was {ended.kind.replace('_', ' ')}")
    by = f" by {ended.actor}" if ended.actor and ended.kind not in ("over", "resolved") else ""
    why = f": {ended.reason}" if ended.reason else ""
    return one_line(f"{how}{by} at {moment(ended.at)}{why}".rstrip(".") + ".")


def moment(at: datetime) -> str:
    """Return a time as people read it: to the second, UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
