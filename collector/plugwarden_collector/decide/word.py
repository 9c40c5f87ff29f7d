"""On whose word something is isolated: it says whose room under the guard rails that takes, and whom it may concern. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MANY", "WORD", "Word", "word_in"]

WORD = "word"
"""Key of a quarantine's evidence under which its word stands."""


@dataclass(frozen=True, slots=True)
class Word:
    """Who bears out that something is to be isolated."""

    process: str | None = None
    """The one process that saw it fail, or that alone is isolated; None where several bear it out."""
    young: bool = False
    """Several do, of a plugin that nobody named until just now: they may be one sender that makes up processes."""
    own: bool = False
    """The process alone calls the plugin: its next versions are its own, and those of whoever follows it after a restart."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as a decision keeps it."""
        return {"process": self.process, "young": self.young, "own": self.own}


MANY = Word()
"""Several processes bear it out."""


def word_in(evidence: Mapping[str, Any]) -> Word:
    """Return the word that a decision kept. Of earlier versions it is known only whether one process alone ever named the plugin."""
    kept = evidence.get(WORD)
    if isinstance(kept, Mapping):
        return Word(kept.get("process"), bool(kept.get("young")), bool(kept.get("own")))
    return MANY if evidence.get("known", True) else Word("")
