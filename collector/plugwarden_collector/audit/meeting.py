"""What a store's chains look like when they are met again, compared with the heads that were kept. Pure but for its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from plugwarden_collector.figures import counted

from .entries import ACCESS, DECISIONS
from .head_file import Break, Head, Heads, Records

__all__ = ["compare", "meet"]

NAMES = {DECISIONS: "the decision log", ACCESS: "the access log"}


def compare(stream: str, kept: Head, there: Head, *, holds: bool) -> str | None:
    """What is wrong with a chain whose head was kept; None when the entry that was its head is there."""
    if holds:
        return None
    when = f"entry {kept.sequence} of {kept.time}, {kept.hash[:16]}…"
    if there.sequence < kept.sequence:
        span = (
            f"entries {there.sequence + 1} to {kept.sequence} are"
            if there.sequence + 1 < kept.sequence
            else f"entry {kept.sequence} is"
        )
        return f"{NAMES[stream]} was cut: {span} missing; the head that was kept is {when}"
    return f"{NAMES[stream]} was written anew: the head that was kept, {when}, is not in it"


def meet(
    records: Records,
    chain: str,
    folder: Path,
    there: Mapping[str, Head],
    holds: Callable[[str, Head], bool],
    at: datetime,
) -> tuple[Heads, list[Break]]:
    """The record for a store as it is met now, and what was found to be broken since it was left. Nothing is written."""
    own = records.load(chain, folder)
    elsewhere = [] if own else list(records.of_chain(chain))
    found = own or Heads(chain, str(folder), copied=bool(elsewhere))
    fresh: list[Break] = []
    for stream in (DECISIONS, ACCESS):
        # Files that came from elsewhere must go at least as far as they did there. Copies that were only looked at have
        # entries of their own in the access log: that they were started.
        there_kept = [item.heads[stream] for item in elsewhere if stream == DECISIONS or not item.copied]
        kept = max([found.heads[stream], *there_kept], key=lambda head: head.sequence)
        held = counted(kept.sequence, "entry", "entries")
        text = compare(stream, kept, there[stream], holds=holds(stream, kept))
        if text is not None:
            fresh.append(Break(stream, text, at.isoformat(), kept, there[stream]))
    known = {item.chain for item in found.breaks}
    for other in records.of_folder(folder):
        kept = other.heads[DECISIONS]
        if other.chain == chain or other.chain in known or not kept.sequence:
            continue
        moved = (item for item in records.of_chain(other.chain) if item.folder != str(folder))
        if any(item.heads[DECISIONS].sequence >= kept.sequence for item in moved):
            continue  # it went to live in another folder
        text = f"another decision log was in {folder} until {kept.time}, with {held}; it is not there now"
        fresh.append(Break(DECISIONS, text, at.isoformat(), kept, there[DECISIONS], other.chain))
    found.breaks.extend(fresh)
    found.heads = dict(there)
    return found, fresh
