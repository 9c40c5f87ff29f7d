"""The fewest factors that explain an excess of bad calls: one search over cells that may have any attributes.

A factor is a conjunction such as `version = 2, operation = write`: it claims that the cells it covers fail at a rate of their own,
above what each of them is expected to. What it gains is the log-likelihood ratio of that claim, in nats; what it costs is the length
of its description, the logarithm of the conjunctions one could have named as well. By Chernoff's bound a healthy table shows a gain
of x nats in a given conjunction with a probability of at most e^-x, so that gain above cost is evidence however many were tried.

Three moves find a set of factors that no single greedy choice would: *cover* takes the best factor and goes on with the cells that
are left; *refine* replaces a factor by narrower ones where its cells differ by more than chance; *merge* puts factors together again where
nothing between them is known to be healthy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import inf, log, sqrt

from .table import Condition, Table

__all__ = ["BASE_NATS", "UNEVEN", "Factor", "Search"]

BASE_NATS = log(1000)
"""Nats that any factor costs: at most one healthy table in a thousand shows a factor."""
MOST_FACTORS = 40
"""Factors that one table is described by at most: the processes of a large host in which all but one fail."""
TWICE = 3
"""Factors without each of which a description is sought once more; more of them find nothing more (measured)."""
MOST_CELLS_TWICE = 5000
"""Cells up to which that is done; a plugin has some hundreds."""
RAISED = 1.5
"""Ratio of odds from which bad calls are worth a factor: with very many calls a trifle above what is tolerated is certain, and a matter
of budgets still."""
UNEVEN = 2.0
"""Standard deviations by which cells of a factor must differ before narrower factors are tried."""
FEW = 2
"""Values of an attribute up to which it is quicker to pick the cells of each than to group all of them (measured)."""
LIKE_RATIO = 0.5
"""Share of a factor's own rate at which its other parts fail at least, if they belong to it."""

APART_NATS = 3.0
"""Nats that speak for what lies between factors being healthy, up to which they may be one: chance shows as many in a part of it
once in twenty times (e^-3)."""

_Taboo = tuple[Condition, ...] | None
"""A conjunction that is not to be chosen."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A conjunction, and what it explains."""

    conditions: tuple[Condition, ...]
    """In the order of the attributes; none of them: everything."""
    cells: tuple[int, ...]
    """Positions of the cells that it explains; those that an earlier factor explains are not among them."""
    total: float
    bad: float
    gain: float
    """Nats that it gains."""
    cost: float
    """Nats that its description takes."""
    parts: tuple[Factor, ...] = ()
    """Narrower factors that were merged into this one; each has a rate of its own."""

    @property
    def score(self) -> float:
        """Return what is gained above the cost."""
        return self.gain - self.cost


@dataclass(slots=True)
class Search:
    """A search for the factors of a table."""

    table: Table
    attribute_nats: Sequence[float]
    """What a condition on each attribute costs, beside the logarithm of the attribute's values."""
    unnamed: Sequence[frozenset[str]] = ()
    """For each attribute the values that no condition may name; empty where any may be."""
    most_conditions: int = 3
    base_nats: float = BASE_NATS
    """What any factor costs."""
    _values: dict[int, set[str]] = field(init=False)
    """Values that may be named; attributes that have one value in all cells tell nothing, so they are not among them."""
    _condition_nats: dict[int, float] = field(init=False)

    def __post_init__(self) -> None:
        self._values = {}
        for at, column in enumerate(self.table.columns):
            values = set(column)
            if len(values) > 1:
                self._values[at] = values - self.unnamed[at] if self.unnamed else values
        self._condition_nats = {
            at: nats + log(max(len(self._values.get(at, ())), 1)) for at, nats in enumerate(self.attribute_nats)
        }

    def run(self) -> list[Factor]:
        """Return the factors that describe the table best, the one that gains most first; none for a healthy table."""
        cells = list(range(len(self.table)))
        found = self._cover(cells, (), include_base=True)
        if len(found) > 2 and len(cells) <= MOST_CELLS_TWICE and any(map(self._cut, found)):
            # A first choice that cuts across the others leaves more of them behind than there are.
            for first in found[:TWICE]:
                other = self._cover(cells, (), include_base=True, taboo=first.conditions)
                if _score(other) > _score(found):
                    found = other
        return sorted(self._merge(found), key=lambda factor: (-factor.gain, factor.conditions))

    def weigh(self, conditions: tuple[Condition, ...], cells: Iterable[int]) -> Factor:
        """Return what a conjunction would explain by itself, given the cells that it covers."""
        return self._factor(conditions, list(cells))

    def cost(self, conditions: tuple[Condition, ...]) -> float:
        """Return the nats that describe a conjunction."""
        return self.base_nats + sum(self._condition_nats[attribute] for attribute, _ in conditions)

    def beside(self, total: float, bad: float, cells: Sequence[int]) -> float | None:
        """Return what cells gain as a part of factors with so many calls and bad ones; None where they are known to be healthy."""
        gain = self.table.gain_at(LIKE_RATIO * bad / total, cells)
        return None if gain < -APART_NATS else gain

    def second(self, cells: Sequence[int]) -> Factor | None:
        """Return the best factor of cells, priced for its conditions alone; None where none is worth these."""
        return replace(self, base_nats=0.0)._best(list(cells), (), include_base=False, taboo=None)

    def _factor(self, conditions: tuple[Condition, ...], cells: list[int]) -> Factor:
        total, bad = self.table.counts(cells)
        return Factor(conditions, tuple(cells), total, bad, self.table.gain(cells), self.cost(conditions))

    def _cover(
        self, cells: list[int], base: tuple[Condition, ...], *, include_base: bool, taboo: _Taboo = None
    ) -> list[Factor]:
        """Return factors within a base, each the best for what those before it left over."""
        found: list[Factor] = []
        while cells and len(found) < MOST_FACTORS:
            best = self._best(cells, base, include_base=include_base, taboo=taboo)
            if best is None:
                break
            # Of narrower factors the first alone is kept: the others stay within one that was not the last word.
            first = max(self._refine(best, taboo), key=_rank)
            found.append(first)
            covered = set(first.cells)
            cells = [at for at in cells if at not in covered]
        return found

    def _best(
        self, cells: list[int], base: tuple[Condition, ...], *, include_base: bool, taboo: _Taboo
    ) -> Factor | None:
        """Return the factor with the highest score within a base; branches that cannot reach it are cut."""
        best: Factor | None = None
        if include_base and base != taboo:
            factor = self._factor(base, cells)
            best = factor if self._worth(factor) else None
        fixed = {attribute for attribute, _ in base}
        open_nodes: list[tuple[float, tuple[Condition, ...], list[int], int]] = [(inf, base, cells, 0)]
        while open_nodes:
            bound, conditions, within, first = open_nodes.pop()
            if len(conditions) >= self.most_conditions or (best is not None and bound <= best.score):
                continue
            hot = [at for at in within if self.table.most[at]]
            cost = self.cost(conditions)
            reaches = [
                (most - cost - self._condition_nats[attribute], attribute, value)
                for attribute, values in self._values.items()
                if attribute >= first and attribute not in fixed
                for value, most in self.table.most_by_value(hot, attribute).items()
                if value in values
            ]
            reaches.sort(key=lambda item: (-item[0], item[1], item[2]))
            limit = 0.0 if best is None else best.score
            wanted = Counter(attribute for reach, attribute, _ in reaches if reach > limit)
            groups: dict[int, dict[str, list[int]]] = {}
            children = []
            for reach, attribute, value in reaches:
                if reach <= (0.0 if best is None else best.score):
                    break
                if wanted[attribute] > FEW:
                    if attribute not in groups:
                        groups[attribute] = self.table.grouped(within, attribute)
                    group = groups[attribute][value]
                else:
                    group = self.table.meeting([(attribute, value)], within)
                factor = self._factor(tuple(sorted((*conditions, (attribute, value)))), group)
                allowed = self._worth(factor) and factor.conditions != taboo
                if allowed and (best is None or _rank(factor) > _rank(best)):
                    best = factor
                children.append((reach, factor.conditions, group, attribute + 1))
            open_nodes.extend(reversed(children))
        return best

    def _worth(self, factor: Factor) -> bool:
        """Whether a factor gains more than it costs and fails clearly more often than it may."""
        expected = self.table.expected(factor.cells)
        raised = factor.bad * (factor.total - expected) >= RAISED * expected * (factor.total - factor.bad)
        return raised and factor.score > 0

    def _refine(self, factor: Factor, taboo: _Taboo) -> list[Factor]:
        """Return narrower factors where they describe a factor's cells better than it does itself."""
        if len(factor.conditions) >= self.most_conditions or not self._uneven(factor):
            return [factor]
        narrower = self._cover(list(factor.cells), factor.conditions, include_base=False, taboo=taboo)
        return narrower if _score(narrower) > factor.score else [factor]

    def _uneven(self, factor: Factor) -> bool:
        """Whether the cells of a factor differ by more than chance makes them.

        Twice the nats that rates of their own would gain is chi-squared with one degree of freedom a cell (Wilks).
        """
        count = len(factor.cells)
        spare = sum(map(self.table.most.__getitem__, factor.cells)) - factor.gain
        return spare > count / 2 + UNEVEN * sqrt(count / 2)

    def _cut(self, factor: Factor) -> bool:
        """Whether others explain a part of what its conditions cover."""
        return len(factor.cells) < len(self.table.meeting(factor.conditions))

    def _closed(self, factor: Factor) -> Factor:
        """Return a factor that explains what others left over with all conditions that its cells meet."""
        if not self._cut(factor):
            return factor
        found = {
            at: {self.table.columns[at][cell] for cell in factor.cells} & values for at, values in self._values.items()
        }
        shared = tuple((at, min(values)) for at, values in found.items() if len(values) == 1)
        return replace(factor, conditions=shared)

    def _merge(self, found: list[Factor]) -> list[Factor]:
        """Put factors together under what they have in common, as long as what lies between them is not known to be healthy."""
        while len(found) > 1:
            covered = {at for factor in found for at in factor.cells}
            best: tuple[float, Factor, list[Factor]] | None = None
            tried: set[tuple[Condition, ...]] = set()
            for one, other in combinations(found, 2):
                common = tuple(item for item in one.conditions if item in other.conditions)
                if common in tried:
                    continue
                tried.add(common)
                members = [factor for factor in found if set(common) <= set(factor.conditions)]
                total, bad = sum(item.total for item in members), sum(item.bad for item in members)
                between = [at for at in self.table.meeting(common) if at not in covered]
                apart = self.beside(total, bad, between)
                if apart is None:
                    continue
                gain = sum(item.gain for item in members) + apart
                saved = gain - self.cost(common) - sum(item.score for item in members)
                if saved > 0 and (best is None or saved > best[0]):
                    cells = sorted([at for item in members for at in item.cells] + between)
                    counts = self.table.counts(cells)
                    parts = tuple(part for item in members for part in (item.parts or (self._closed(item),)))
                    whole = Factor(common, tuple(cells), counts[0], counts[1], gain, self.cost(common), parts)
                    best = saved, whole, members
            if best is None:
                break
            _, whole, members = best
            found = [factor for factor in found if factor not in members] + [whole]
        return found


def _score(found: Iterable[Factor]) -> float:
    """Return what factors gain above their costs."""
    return sum(factor.score for factor in found)


def _rank(factor: Factor) -> tuple[float, int, tuple[Condition, ...]]:
    """Return what decides between factors: the score, then fewer conditions, then a fixed order."""
    return (round(factor.score, 9), -len(factor.conditions), tuple((-at, value) for at, value in factor.conditions))
