"""Counting sentences: whoever reads a decision reads four of them at most."""

from __future__ import annotations

import re
from collections.abc import Iterable

from plugwarden_collector.audit.entries import Draft

__all__ = ["MAX_SENTENCES", "sentences", "too_long"]

MAX_SENTENCES = 4
"""Sentences of a decision's reason."""
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
"""Where one sentence ends and another begins: "1.5 s", "csv@2.0.1" and "0.4 %" are none."""


def sentences(text: str) -> int:
    """Return how many sentences a text has."""
    return len([part for part in _END.split(text.strip()) if part])


def too_long(drafts: Iterable[Draft]) -> list[str]:
    """Return those decisions that nobody reads to their end, with what they say."""
    return [f"{item.kind}: {item.reason}" for item in drafts if not 1 <= sentences(item.reason) <= MAX_SENTENCES]
