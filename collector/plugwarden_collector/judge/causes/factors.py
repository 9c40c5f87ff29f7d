"""The fewest factors that explain an excess of bad calls: one search over cells that may have any attributes.

A factor is a conjunction such as `version = 2, operation = write`: it claims that the cells it covers fail at a rate of their own,
above what each of them is expected to. What it gains is the log-likelihood ratio of that claim, in nats; what it costs is the length
of its description, the logarithm of the conjunctions one could have named as well. By Chernoff's bound a healthy table shows a gain
of x nats in a given conjunction with a probability of at most e^-x, so that gain above cost is evidence however many were tried.

Three moves find a set of factors that no single greedy choice would: *cover* takes the best factor and goes on with the cells that
are left; *refine* replaces a factor by narrower ones where a part of it is healthy; *merge* puts factors together again where
nothing between them is known to be healthy.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import inf, log, sqrt

__all__ = ["BASE_NATS", "Condition", "Factor", "Leaf", "Search", "excess_nats"]

BASE_NATS = log(1000)
"""Nats that any factor costs: at most one healthy table in a thousand shows a factor."""
LEAST_RATIO = 0.001
"""Least share of bad calls that is expected of any cell: one stray failure in a quiet cell is worth at most log(1000) nats."""
MOST_FACTORS = 40
"""Factors that one table is described by at most: the processes of a large host in which all but one fail."""
MOST_TWICE = 6
"""Factors up to which a description is sought once more without each of them."""
MOST_LEAVES_TWICE = 5000
"""Leaves up to which that is done; a plugin has some hundreds."""
UNEVEN = 2.0
"""Standard deviations by which leaves of a factor must differ before narrower factors are tried."""
FEW = 2
"""Values of an attribute up to which it is quicker to pick the leaves of each than to group all of them (measured)."""
LIKE_RATIO = 0.5
"""Share of a factor's own rate at which its other parts fail at least, if they belong to it."""

Condition = tuple[int, str]
"""Position of an attribute, and the value it has."""
_Taboo = tuple[Condition, ...] | None
"""A conjunction that is not to be chosen."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """Counts of the finest part that is told apart."""

    values: tuple[str, ...]
    """One value for each attribute."""
    total: float
    bad: float
    expected_ratio: float
    """Share of bad calls that is tolerated or usual."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A conjunction, and what it explains."""

    conditions: tuple[Condition, ...]
    """In the order of the attributes; none of them: everything."""
    leaves: tuple[int, ...]
    """Positions of the leaves that it explains; those that an earlier factor explains are not among them."""
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


def excess_nats(total: float, bad: float, expected_ratio: float) -> float:
    """Return the log-likelihood ratio of a rate above the expected one; 0 where the calls fail no more than expected."""
    ratio = min(max(expected_ratio, LEAST_RATIO), 1 - LEAST_RATIO)
    if total <= 0 or bad <= total * ratio:
        return 0.0
    return _at_own_rate(total, bad) - bad * log(ratio) - (total - bad) * log(1 - ratio)


@dataclass(slots=True)
class Search:
    """A table of leaves with what is known of each, ready to be searched."""

    leaves: Sequence[Leaf]
    attribute_nats: Sequence[float]
    """What a condition on each attribute costs, beside the logarithm of the attribute's values."""
    most_conditions: int = 3
    base_nats: float = BASE_NATS
    """What any factor costs."""
    unnamed: frozenset[str] = frozenset()
    """Values that no condition may name."""
    _columns: list[Sequence[str]] = field(init=False)
    _telling: frozenset[int] = field(init=False)
    """Attributes that have more than one value."""
    _condition_nats: list[float] = field(init=False)
    _total: list[float] = field(init=False)
    _bad: list[float] = field(init=False)
    _expected: list[float] = field(init=False)
    _healthy: list[float] = field(init=False)
    """Log-likelihood of each leaf at its expected ratio."""
    _most: list[float] = field(init=False)
    """Most nats that any factor can gain in each leaf."""

    def __post_init__(self) -> None:
        self._columns = [[leaf.values[at] for leaf in self.leaves] for at in range(len(self.attribute_nats))]
        self._telling = frozenset(at for at, column in enumerate(self._columns) if len(set(column)) > 1)
        self._condition_nats = [
            nats + log(max(len(set(column) - self.unnamed), 1))
            for nats, column in zip(self.attribute_nats, self._columns, strict=True)
        ]
        self._total, self._bad = [leaf.total for leaf in self.leaves], [leaf.bad for leaf in self.leaves]
        self._expected, self._healthy, self._most = [], [], []
        for leaf in self.leaves:
            ratio = min(max(leaf.expected_ratio, LEAST_RATIO), 1 - LEAST_RATIO)
            healthy = leaf.bad * log(ratio) + (leaf.total - leaf.bad) * log(1 - ratio)
            self._expected.append(leaf.total * ratio)
            self._healthy.append(healthy)
            over = leaf.bad > leaf.total * ratio
            self._most.append(_at_own_rate(leaf.total, leaf.bad) - healthy if over else 0.0)

    def run(self) -> list[Factor]:
        """Return the factors that describe the table best, the one that gains most first; none for a healthy table."""
        leaves = list(range(len(self.leaves)))
        found = self._cover(leaves, (), include_base=True)
        if 2 < len(found) <= MOST_TWICE and len(leaves) <= MOST_LEAVES_TWICE:
            # A first choice that cuts across the others leaves more of them behind than there are.
            for taboo in [factor.conditions for factor in found]:
                other = self._cover(leaves, (), include_base=True, taboo=taboo)
                if _score(other) > _score(found):
                    found = other
        return sorted(self._merge(found), key=lambda factor: (-factor.gain, factor.conditions))

    def weigh(self, conditions: tuple[Condition, ...], leaves: Iterable[int]) -> Factor:
        """Return what a conjunction would explain by itself, given the leaves that it covers."""
        return self._factor(conditions, list(leaves))

    def cost(self, conditions: tuple[Condition, ...]) -> float:
        """Return the nats that describe a conjunction."""
        return self.base_nats + sum(self._condition_nats[attribute] for attribute, _ in conditions)

    def _matches(self, at: int, conditions: tuple[Condition, ...]) -> bool:
        return all(self._columns[attribute][at] == value for attribute, value in conditions)

    def _factor(self, conditions: tuple[Condition, ...], leaves: list[int]) -> Factor:
        total, bad, gain = self._gain(leaves)
        return Factor(conditions, tuple(leaves), total, bad, gain, self.cost(conditions))

    def _gain(self, leaves: list[int]) -> tuple[float, float, float]:
        """Return (total, bad, nats) of leaves that fail at one rate of their own."""
        total, bad = sum(map(self._total.__getitem__, leaves)), sum(map(self._bad.__getitem__, leaves))
        if bad <= sum(map(self._expected.__getitem__, leaves)):
            return total, bad, 0.0
        return total, bad, max(0.0, _at_own_rate(total, bad) - sum(map(self._healthy.__getitem__, leaves)))

    def _at_rate(self, leaves: list[int], rate: float) -> float:
        """Return the nats by which a given rate, or their own where it is higher, describes leaves better than health does."""
        total, bad = sum(map(self._total.__getitem__, leaves)), sum(map(self._bad.__getitem__, leaves))
        if total <= 0:
            return 0.0
        rate = min(max(rate, bad / total, LEAST_RATIO), 1 - LEAST_RATIO)
        return bad * log(rate) + (total - bad) * log(1 - rate) - sum(map(self._healthy.__getitem__, leaves))

    def _cover(
        self, leaves: list[int], base: tuple[Condition, ...], *, include_base: bool, taboo: _Taboo = None
    ) -> list[Factor]:
        """Return factors within a base, each the best for what those before it left over."""
        found: list[Factor] = []
        while leaves and len(found) < MOST_FACTORS:
            best = self._best(leaves, base, include_base=include_base, taboo=taboo)
            if best is None:
                break
            # Of narrower factors the first alone is kept: the others stay within one that was not the last word.
            first = max(self._refine(best, taboo), key=_rank)
            found.append(first)
            covered = set(first.leaves)
            leaves = [at for at in leaves if at not in covered]
        return found

    def _best(
        self, leaves: list[int], base: tuple[Condition, ...], *, include_base: bool, taboo: _Taboo
    ) -> Factor | None:
        """Return the factor with the highest score within a base; branches that cannot reach it are cut."""
        best: Factor | None = None
        if include_base and base != taboo:
            factor = self._factor(base, leaves)
            best = factor if factor.score > 0 else None
        fixed = {attribute for attribute, _ in base}
        open_nodes: list[tuple[float, tuple[Condition, ...], list[int], int]] = [(inf, base, leaves, 0)]
        while open_nodes:
            bound, conditions, within, first = open_nodes.pop()
            if len(conditions) >= self.most_conditions or (best is not None and bound <= best.score):
                continue
            hot = [at for at in within if self._most[at]]
            cost = self.cost(conditions)
            reaches = [
                (most - cost - self._condition_nats[attribute], attribute, value)
                for attribute in range(first, len(self._columns))
                if attribute in self._telling and attribute not in fixed
                for value, most in self._sums(hot, attribute).items()
                if value not in self.unnamed
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
                        groups[attribute] = self._grouped(within, attribute)
                    group = groups[attribute][value]
                else:
                    column = self._columns[attribute]
                    group = [at for at in within if column[at] == value]
                factor = self._factor(tuple(sorted((*conditions, (attribute, value)))), group)
                allowed = factor.score > 0 and factor.conditions != taboo
                if allowed and (best is None or _rank(factor) > _rank(best)):
                    best = factor
                children.append((reach, factor.conditions, group, attribute + 1))
            open_nodes.extend(reversed(children))
        return best

    def _grouped(self, leaves: list[int], attribute: int) -> dict[str, list[int]]:
        """Return leaves by their values of an attribute."""
        column, groups = self._columns[attribute], defaultdict[str, list[int]](list)
        for at in leaves:
            groups[column[at]].append(at)
        return groups

    def _sums(self, leaves: list[int], attribute: int) -> dict[str, float]:
        """Return the most that any factor can gain under each value of an attribute."""
        column, sums = self._columns[attribute], defaultdict[str, float](float)
        for at in leaves:
            sums[column[at]] += self._most[at]
        return sums

    def _refine(self, factor: Factor, taboo: _Taboo) -> list[Factor]:
        """Return narrower factors where they describe a factor's leaves better than it does itself."""
        if len(factor.conditions) >= self.most_conditions or not self._uneven(factor):
            return [factor]
        narrower = self._cover(list(factor.leaves), factor.conditions, include_base=False, taboo=taboo)
        return narrower if _score(narrower) > factor.score else [factor]

    def _uneven(self, factor: Factor) -> bool:
        """Whether the leaves of a factor differ by more than chance makes them.

        Twice the nats that rates of their own would gain is chi-squared with one degree of freedom a leaf (Wilks).
        """
        count = len(factor.leaves)
        spare = sum(map(self._most.__getitem__, factor.leaves)) - factor.gain
        return spare > count / 2 + UNEVEN * sqrt(count / 2)

    def _closed(self, factor: Factor) -> Factor:
        """Return a factor that explains what others left over with all conditions that its leaves meet."""
        if len(factor.leaves) == sum(self._matches(at, factor.conditions) for at in range(len(self.leaves))):
            return factor
        values = {at: {self._columns[at][leaf] for leaf in factor.leaves} for at in self._telling}
        shared = tuple((at, min(found)) for at, found in sorted(values.items()) if len(found) == 1)
        return replace(factor, conditions=shared)

    def _merge(self, found: list[Factor]) -> list[Factor]:
        """Put factors together under what they have in common, as long as what lies between them is not known to be healthy."""
        while len(found) > 1:
            covered = {at for factor in found for at in factor.leaves}
            best: tuple[float, Factor, list[Factor]] | None = None
            tried: set[tuple[Condition, ...]] = set()
            for one, other in combinations(found, 2):
                common = tuple(item for item in one.conditions if item in other.conditions)
                if common in tried:
                    continue
                tried.add(common)
                members = [factor for factor in found if set(common) <= set(factor.conditions)]
                total, bad = sum(item.total for item in members), sum(item.bad for item in members)
                between = [at for at in range(len(self.leaves)) if at not in covered and self._matches(at, common)]
                gain = sum(item.gain for item in members) + self._at_rate(between, LIKE_RATIO * bad / total)
                saved = gain - self.cost(common) - sum(item.score for item in members)
                if saved > 0 and (best is None or saved > best[0]):
                    leaves = sorted([at for item in members for at in item.leaves] + between)
                    counts = self._gain(leaves)
                    parts = tuple(part for item in members for part in (item.parts or (self._closed(item),)))
                    whole = Factor(common, tuple(leaves), counts[0], counts[1], gain, self.cost(common), parts)
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


def _at_own_rate(total: float, bad: float) -> float:
    """Return the log-likelihood of counts at the rate that suits them best."""
    if bad <= 0 or bad >= total:
        return 0.0
    return bad * log(bad / total) + (total - bad) * log(1 - bad / total)
