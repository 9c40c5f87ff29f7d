"""Group: what belongs together, and what goes first. One subject is one message; receivers may join those of one plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ..message import Known, Message

__all__ = ["GROUPED_BY", "group", "group_labels"]

GROUPED_BY = ("plugin", "component")
"""Labels by which a receiver may join what belongs together."""


def group(messages: Sequence[Message], known: Known, at: datetime) -> list[Message]:
    """Return the messages in the order in which to deliver: pages first, then what began first."""
    return sorted(
        messages, key=lambda item: (item.subject.severity != "page", item.subject.started_at, item.subject.key)
    )


def group_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return those of a subject's labels that name its group."""
    return {name: labels[name] for name in GROUPED_BY if name in labels}
