"""One factor of one plugin, as a shared cause sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from .suspect import Blamed, Suspect

__all__ = ["Member", "count_plugins", "pooled_errors"]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One factor of one plugin."""

    suspect: Suspect
    blamed: Blamed

    @property
    def plugin(self) -> str:
        """Return the plugin's name."""
        return self.suspect.plugin

    @property
    def since(self) -> datetime:
        """Return when it began to fail."""
        return self.blamed.since

    @property
    def leading_error(self) -> str:
        """Return the type of error that it has most of; empty where it told none."""
        errors = self.blamed.errors
        return max(errors, key=lambda name: (errors[name], name), default="")


def count_plugins(members: Iterable[Member]) -> int:
    """Return how many plugins there are among them."""
    return len({member.plugin for member in members})


def pooled_errors(members: Iterable[Member]) -> Counter[str]:
    """Return the errors of all of them, with their calls."""
    errors: Counter[str] = Counter()
    for member in members:
        errors.update(member.blamed.errors)
    return errors
