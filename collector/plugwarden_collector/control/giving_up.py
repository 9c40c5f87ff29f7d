"""What receivers are owed and will not be told any more, as the decision log has it: a person said so, or the receiver left the rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from plugwarden_collector.announce.tellings import GONE, Owed
from plugwarden_collector.audit.actor import LOCAL, Actor
from plugwarden_collector.audit.entries import Draft

__all__ = ["given_up", "leaving"]

MAX_NAMED = 100
"""Subjects that an entry of the decision log names; the log of attempts has all of them."""


def given_up(receiver: str, fingerprints: Sequence[str], reason: str, who: Actor, at: datetime) -> Draft:
    """Return the entry on what a receiver is not told any more."""
    evidence = {"count": len(fingerprints), "fingerprints": list(fingerprints[:MAX_NAMED])}
    return Draft(at, "given_up", who.name, f"receiver {receiver}", reason, says=who.says, evidence=evidence)


def leaving(owed: Sequence[Owed], receivers: Collection[str], at: datetime) -> list[Draft]:
    """Return an entry on each receiver that is owed something and is none of those in the rules; whoever may write them said so."""
    found: dict[str, list[str]] = {}
    for item in owed:
        if item.receiver not in receivers:
            found.setdefault(item.receiver, []).append(item.fingerprint)
    return [given_up(receiver, keys, GONE, Actor(LOCAL), at) for receiver, keys in found.items()]
