"""Who is not to blame for what is bad of its calls: what excuses whom, and of what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from plugwarden_collector.judge.causes.error_kinds import waited_out
from plugwarden_collector.judge.sli import indicator_of
from plugwarden_collector.rules.objective import Objective

__all__ = ["Excuse", "Excuses", "is_slowness"]


@dataclass(frozen=True, slots=True)
class Excuse:
    """One cause that speaks for a plugin."""

    cause: str
    """What makes it so, in words, as a fault is said to lie beside it."""
    slow: bool
    """Whether it excuses slow calls alone: a plugin that fails as well is to blame for that."""
    why: str
    """In a sentence, with the incident."""
    since: datetime | None = None
    """Since when it makes the plugin fail, or slow; None where nothing says so at this moment, or only that it keeps the plugin waiting."""


@dataclass(frozen=True, slots=True)
class Excuses:
    """What speaks for whom at one tick."""

    by_plugin: defaultdict[str, list[Excuse]] = field(default_factory=lambda: defaultdict(list))

    def of(self, plugin: str, beside: str, *, slow: bool) -> Iterator[Excuse]:
        """Yield what excuses a plugin, those first that excuse all; `slow` tells whether slow calls are to be excused, and `beside` is
        the cause that is known not to explain them."""
        for item in sorted(self.by_plugin.get(plugin, ()), key=lambda item: item.slow):
            if (slow or not item.slow) and not _is(item.cause, beside):
                yield item


def is_slowness(objective: Objective, errors: Mapping[str, int]) -> bool:
    """Whether calls that are bad by an objective, with these errors, are slow ones: a deadline that passed is a slow call."""
    return indicator_of(objective).waits_explain or waited_out(errors)


def _is(cause: str, other: str) -> bool:
    """Whether two causes, in words, are one: what began at one moment is `simultaneous` or `everything`, as more join it."""
    return cause == other or (bool(other) and " " not in cause and " " not in other)
