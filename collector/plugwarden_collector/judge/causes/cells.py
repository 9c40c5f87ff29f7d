"""The finest cells of one plugin, counted once each, in a fixed order, with the table that is searched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from math import log

from plugwarden.contract import OVERFLOW

from .factors import Search
from .sample import ATTRIBUTES, Sample
from .table import Table, excess_nats

__all__ = ["INSTANCE", "MACHINE", "SERVICE", "VERSION", "Cells", "cells_of", "only_errors", "other_errors"]

VERSION, OPERATION, INSTANCE, MACHINE, TENANT, SERVICE = range(len(ATTRIBUTES))
ATTRIBUTE_NATS: Mapping[str, float] = {
    # A release is what most often breaks a plugin (Google's SRE book, chapter 1: some 70 % of outages follow a change in a live system).
    "version": 0.0,
    "operation": 1.0,
    # Directives name processes and tenants, so these come before a machine or a caller that covers the same calls.
    "instance": 1.5,
    "machine": 1.6,
    "tenant": 1.5,
    "service": 2.0,
}
"""Nats that a condition costs beside the logarithm of its attribute's values: how rarely that is where a fault lies."""
ALONE_NATS = log(100)
"""Nats that other versions, or other senders, must gain by themselves before a scope covers them as well."""
MOST_CELLS = 2000
"""Cells of one plugin that are told apart: their search takes a quarter of a second at most; an ordinary plugin has some hundreds."""
MOST_VALUES = 64
"""Values of each attribute that are told apart where there are more cells than that; half of them where there still are."""
ALONE_BAD = 2
"""Bad calls that they must have: one stray failure widens nothing."""
_UNTELLABLE = tuple(
    frozenset({OVERFLOW}) if name in ("version", "operation", "tenant") else frozenset({"", OVERFLOW})
    for name in ATTRIBUTES
)
"""Values that nobody can be told to refuse alone: names that are not told apart, and places that have none."""


@dataclass(frozen=True, slots=True)
class Cells:
    """What one plugin did, by its finest parts."""

    samples: Sequence[Sample]
    expected: Sequence[float]
    """Bad calls of each that would be nothing to mind."""
    table: Table
    """The counts."""
    search: Search

    def called(self, cells: Iterable[int]) -> int:
        """Return the calls of some cells."""
        return round(self.table.counts(cells)[0])

    def errors(self, cells: Iterable[int]) -> Counter[str]:
        """Return the bad calls of some cells by type of error."""
        found: Counter[str] = Counter()
        for at in cells:
            for name, calls in self.samples[at].errors.items():
                found[name] += calls
        return found

    def ran(self, cells: Iterable[int], total: float, bad: float) -> tuple[float, float]:
        """Return what is left of calls and bad ones in some cells without those that stand for an open breaker."""
        shut = sum(self.samples[at].shut for at in cells)
        return max(total - shut, 0.0), max(bad - shut, 0.0)

    def only(self, cells: Iterable[int], attribute: int) -> str | None:
        """Return the value that holds all the evidence of some cells.

        None where other values bear it out by themselves, and where the value is none that can be named.
        """
        groups = self.table.grouped((at for at in cells if self.table.total[at]), attribute)
        if not groups:
            return None
        weights = {value: self._nats(group) for value, group in groups.items()}
        first = max(weights, key=lambda value: (weights[value], value))
        others = [at for value, group in groups.items() if value != first for at in group]
        borne_out = self._nats(others) >= ALONE_NATS and self.table.counts(others)[1] >= ALONE_BAD
        return first if not borne_out and self.tells(attribute, first) else None

    @staticmethod
    def tells(attribute: int, value: str) -> bool:
        """Whether somebody can be told to refuse the calls of this value alone."""
        return value not in _UNTELLABLE[attribute]

    def _nats(self, cells: Sequence[int]) -> float:
        total, bad = self.table.counts(cells)
        return excess_nats(total, bad, sum(map(self.expected.__getitem__, cells)) / total) if total else 0.0


def cells_of(samples: Iterable[Sample]) -> Cells:
    """Return the cells of one plugin's samples; those of the same cell are summed."""
    samples = list(samples)
    merged: dict[tuple[str, ...], Sample] = {}
    for sample, key in zip(samples, _places(samples), strict=True):
        other = merged.get(key)
        merged[key] = sample if other is None else _sum(other, sample)
    keys = sorted(merged)
    ordered = [_named(merged[key], key) for key in keys]
    table = Table(
        list(zip(*keys, strict=True)),
        [sample.total for sample in ordered],
        [min(sample.bad, sample.total) for sample in ordered],
        [sample.expected_ratio for sample in ordered],
    )
    expected = [sample.total * sample.expected_ratio for sample in ordered]
    return Cells(ordered, expected, table, Search(table, list(ATTRIBUTE_NATS.values()), _UNTELLABLE))


def _places(samples: Sequence[Sample]) -> list[tuple[str, ...]]:
    """Return the cell of each sample, at most `MOST_CELLS` different ones: the values with fewest bad calls become one.

    A search takes as long as there are cells, and a sender can make up as many names as it likes.
    """
    columns = [[getattr(sample, name) for sample in samples] for name in ATTRIBUTES]
    most = MOST_VALUES
    while most and len(set(zip(*columns, strict=True))) > MOST_CELLS:
        for at, column in enumerate(columns):
            bad: Counter[str] = Counter()
            for value, sample in zip(column, samples, strict=True):
                bad[value] += sample.bad
            if len(bad) > most:
                kept = {value for value, _ in bad.most_common(most)}
                columns[at] = [value if value in kept else OVERFLOW for value in column]
        most //= 2
    return list(zip(*columns, strict=True))


def _named(sample: Sample, place: tuple[str, ...]) -> Sample:
    """Return a sample under the names of the cell that it stands for: it is counted once more where types of errors are looked at."""
    own = tuple(getattr(sample, name) for name in ATTRIBUTES)
    return sample if own == place else replace(sample, **dict(zip(ATTRIBUTES, place, strict=True)))  # type: ignore[arg-type]  # all are names


def only_errors(samples: Iterable[Sample], names: set[str]) -> list[Sample]:
    """Return samples in which the errors of these types alone are bad, and what breakers refused for them."""
    return [_with_errors(sample, names & sample.errors.keys(), untold=False) for sample in samples]


def other_errors(samples: Iterable[Sample], names: set[str]) -> list[Sample]:
    """Return samples in which all bad calls but these are bad, those that told no type too."""
    return [_with_errors(sample, sample.errors.keys() - names, untold=True) for sample in samples]


def _with_errors(sample: Sample, names: Set[str], *, untold: bool) -> Sample:
    """Return a sample in which the errors of these types are bad. A breaker refuses for what opened it: a share of that for each type."""
    errors = {name: calls for name, calls in sample.errors.items() if name in names}
    told, kept = sum(sample.errors.values()), sum(errors.values())
    shut = round(sample.shut * kept / told) if told else sample.shut * untold
    bad = kept + shut + (max(0, sample.bad - sample.shut - told) if untold else 0)
    return replace(sample, total=sample.total - sample.shut + shut, bad=min(bad, sample.bad), shut=shut, errors=errors)


def _sum(one: Sample, other: Sample) -> Sample:
    onsets = [sample.since for sample in (one, other) if sample.since is not None]
    return replace(
        one,
        total=one.total + other.total,
        bad=min(one.bad, one.total) + min(other.bad, other.total),
        expected_ratio=max(one.expected_ratio, other.expected_ratio),
        errors=Counter(one.errors) + Counter(other.errors),
        shut=one.shut + other.shut,
        since=min(onsets, default=None),
        known=one.known or other.known,
    )
