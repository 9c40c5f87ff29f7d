"""Others in the place that a plugin fails in: do they begin to fail there as well, though too little yet to say so?

A host or a tenant that is in trouble shows it first through the plugin that is called most. The others' bad calls there, a few each, tell
sooner than any one of them could that the place is what they share.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from functools import cached_property
from math import comb

from plugwarden_collector.judge.causes import Fault
from plugwarden_collector.judge.causes.sample import PLACES
from plugwarden_collector.judge.parts import PARTS, PartCount, PartKey

from .tick import Tick
from .trouble import Trouble

__all__ = ["SOONER", "Neighbours", "is_place"]

LEAST = 2
"""Bad calls of others that there must be: one is a stray."""
SOONER = timedelta(seconds=2)
"""Others may have begun this much before."""
MOST_COUNTED = 200
"""Bad calls that are told apart; of more, shares say the same."""


def is_place(fault: Fault) -> bool:
    """Whether a fault is narrowed to where or for whom a plugin is called, which others have in common with it."""
    return any(name in PLACES for name, _ in fault.scope.conditions)


class Neighbours:
    """What others did in the places of a tick's faults; asked for when somebody wants to know."""

    def __init__(self, tick: Tick) -> None:
        self._tick = tick
        self._bad: dict[tuple[str, datetime], dict[tuple[str, str], int]] = {}

    def chance_there(self, trouble: Trouble, fault: Fault, since: datetime) -> float:
        """Return the chance that as many of other plugins' bad calls since then lie in a fault's place, if they fell where they did before.

        Where that is not known, they fall where this plugin's calls do: others need not be called where it is. Those of a plugin whose
        own fault is known to lie elsewhere, or to be everywhere, say nothing of the place; nor do those that a shared cause explains,
        which was weighed against this fault already.
        """
        said, plugin = dict(fault.scope.conditions), fault.scope.plugin
        part = "tenant" if "tenant" in said and "instance" not in said else "instance"
        values = {said[part]} if part in said else set(fault.instances)
        mine = [sample for sample in trouble.samples if sample.plugin == plugin and sample.total]
        total = sum(sample.total for sample in mine)
        share = sum(sample.total for sample in mine if getattr(sample, part) in values) / total if total else 1.0
        explanation = trouble.explanation
        passed_over = {
            plugin,
            *(item.scope.plugin for item in explanation.faults if not _lies_in(item, part, values)),
            *(name for cause in explanation.shared for name in cause.plugins),
        }

        def counted(moment: datetime) -> tuple[int, int]:
            found = {key: bad for key, bad in self._bad_since(part, moment).items() if key[0] not in passed_over}
            return sum(bad for (_, value), bad in found.items() if value in values), sum(found.values())

        here, everywhere = counted(since)
        if here < LEAST:
            return 1.0
        (began_here, began), (ever_here, ever) = counted(fault.since - SOONER), counted(datetime.min)
        share = max(share, (ever_here - began_here) / (ever - began + 1))
        return _chance(here, everywhere, share)

    def _bad_since(self, part: str, since: datetime) -> dict[tuple[str, str], int]:
        """Return bad calls by plugin and value of a part."""
        if (part, since) not in self._bad:
            found: defaultdict[tuple[str, str], int] = defaultdict(int)
            for key, count in self._by_part[part]:
                bad = count.since_then(since)
                if bad:
                    found[key.plugin, key.value] += bad
            self._bad[part, since] = found
        return self._bad[part, since]

    @cached_property
    def _by_part(self) -> dict[str, list[tuple[PartKey, PartCount]]]:
        found: dict[str, list[tuple[PartKey, PartCount]]] = {part: [] for part in PARTS}
        for key, count in self._tick.watch.parts.items():
            found[key.part].append((key, count))
        return found


def _lies_in(fault: Fault, part: str, values: set[str]) -> bool:
    """Whether a fault lies in some processes, or concerns some tenants, alone."""
    value = dict(fault.scope.conditions).get(part)
    seen = (
        {value} if value is not None else set(fault.instances) if part == "instance" and is_place(fault) else set[str]()
    )
    return bool(seen) and seen <= values


def _chance(here: int, total: int, share: float) -> float:
    """Return the chance that at least so many of all fall in a place with this share (binomial)."""
    if total > MOST_COUNTED:
        here, total = round(here * MOST_COUNTED / total), MOST_COUNTED
    return sum(comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(here, total + 1))
