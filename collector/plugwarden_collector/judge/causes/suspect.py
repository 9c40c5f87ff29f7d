"""A plugin that fails, by itself: its cells, the factors that describe its failures, and the scopes that follow."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from plugwarden.contract import OVERFLOW

from .explanation import Alternative, Fault, Scope
from .factors import Condition, Factor, Leaf, Search, excess_nats
from .sample import ATTRIBUTES, PLACES, Sample

__all__ = ["VERSION", "Blamed", "Suspect", "blamed_for", "suspect", "suspects_of"]

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
ALONE_NATS = 7.0
"""Nats that other versions, or other senders, must gain by themselves before a scope covers them as well: log(1000)."""
ALONE_BAD = 2
"""Bad calls that they must have: one stray failure widens nothing."""
MOST_ALTERNATIVES = 8
_UNNAMED = "\0"
"""Stands in a table for a value that no condition may name; no name has this character (`plugwarden.contract.names`)."""
VERSION, OPERATION, INSTANCE, MACHINE, TENANT, SERVICE = range(len(ATTRIBUTES))
_NARROW = frozenset(ATTRIBUTES.index(name) for name in PLACES)
_UNTELLABLE = {VERSION: {OVERFLOW}, OPERATION: {OVERFLOW}, INSTANCE: {"", OVERFLOW}, MACHINE: {"", OVERFLOW}}
_UNTELLABLE |= {TENANT: {OVERFLOW}, SERVICE: {"", OVERFLOW}}
"""Values that nobody can be told to refuse alone: names that are not told apart, and parts that have none."""


@dataclass(frozen=True, slots=True)
class Blamed:
    """A factor of a plugin, with what only a plugin has."""

    factor: Factor
    conditions: tuple[Condition, ...]
    """The factor's, and those that its evidence does not reach beyond."""
    since: datetime
    errors: Mapping[str, int]
    instances: tuple[str, ...]
    """Processes that saw it fail."""
    sender: str
    """The only process whose evidence carries it; empty where others bear it out."""

    @property
    def rate(self) -> float:
        """Return the share of its calls that are bad."""
        return self.factor.bad / self.factor.total

    def has(self, attributes: Iterable[int]) -> bool:
        """Return whether the search, not the want of other evidence, narrowed it by one of these attributes."""
        return any(attribute in attributes for attribute, _ in self.factor.conditions)


@dataclass(frozen=True, slots=True)
class Suspect:
    """One plugin, since its trouble began."""

    plugin: str
    samples: Sequence[Sample]
    """One for each finest cell, in a fixed order."""
    since: datetime
    known: bool
    blamed: tuple[Blamed, ...]

    def within(self, conditions: Iterable[Condition]) -> list[int]:
        """Return the positions of the cells that meet all conditions."""
        wanted = [(ATTRIBUTES[attribute], value) for attribute, value in conditions]
        return [
            at
            for at, sample in enumerate(self.samples)
            if all(getattr(sample, name) == value for name, value in wanted)
        ]

    def excess(self, cells: Iterable[int]) -> float:
        """Return the bad calls above what is expected, of some cells."""
        return sum(max(0.0, self._bad(at) - self.samples[at].total * self.samples[at].expected_ratio) for at in cells)

    def _bad(self, at: int) -> float:
        return _bad(self.samples[at])

    def fault(self, blamed: Blamed, *, beside: str = "") -> Fault:
        """Return what is told of a factor, with the alternatives to it."""
        cells = self.within(blamed.conditions)
        errors: Counter[str] = Counter()
        for at in cells:
            errors.update(self.samples[at].errors)
        return Fault(
            scope=self.scope(blamed.conditions),
            total=sum(self.samples[at].total for at in cells),
            bad=round(sum(self._bad(at) for at in cells)),
            expected=sum(self.samples[at].total * self.samples[at].expected_ratio for at in cells),
            weight=blamed.factor.gain,
            since=blamed.since,
            errors=tuple(sorted(errors.items(), key=lambda item: (-item[1], item[0]))),
            instances=blamed.instances,
            known=self.known,
            beside=beside,
            alternatives=self._alternatives(blamed),
        )

    def scope(self, conditions: Iterable[Condition]) -> Scope:
        """Return conditions as the scope that they describe."""
        return Scope(self.plugin, **{ATTRIBUTES[attribute]: value for attribute, value in conditions})

    def _alternatives(self, blamed: Blamed) -> tuple[Alternative, ...]:
        """Return what else was near: each condition left out, and the best single condition of every attribute."""
        table = search(self.samples)
        chosen = set(blamed.conditions)
        nearby: set[tuple[Condition, ...]] = {()}
        nearby.update(tuple(sorted(chosen - {condition})) for condition in chosen)
        nearby.update((condition,) for condition in chosen)
        for attribute, name in enumerate(ATTRIBUTES):
            excess: defaultdict[str, float] = defaultdict(float)
            for at, sample in enumerate(self.samples):
                excess[getattr(sample, name)] += self.excess([at])
            ranked = sorted(excess, key=lambda value: (-excess[value], value))
            nearby.update(((attribute, value),) for value in ranked[:1] if len(excess) > 1)
        nearby.discard(tuple(sorted(chosen)))
        weighed = [table.weigh(conditions, self.within(conditions)) for conditions in nearby]
        weighed.sort(key=lambda factor: (-factor.score, factor.conditions))
        return tuple(
            Alternative(self.scope(item.conditions), round(item.total), round(item.bad), item.score)
            for item in weighed[:MOST_ALTERNATIVES]
        )


def suspects_of(samples: Iterable[Sample]) -> list[Suspect]:
    """Return the plugins that something was found against, each with the factors that describe its failures."""
    failing: defaultdict[str, list[Sample]] = defaultdict(list)
    samples = list(samples)
    names = {sample.plugin for sample in samples if sample.since is not None and not sample.ended}
    for sample in samples:
        if sample.plugin in names:
            failing[sample.plugin].append(sample)
    return [suspect(plugin, failing[plugin]) for plugin in sorted(failing)]


def suspect(plugin: str, samples: Iterable[Sample]) -> Suspect:
    """Return one plugin with the factors that describe its failures."""
    cells = merged(samples)
    onsets = [sample.since for sample in cells if sample.since is not None and not sample.ended]
    since = min(onsets)
    known = any(sample.known for sample in cells)
    blamed = tuple(blamed_for(cells, factor, since) for factor in search(cells).run())
    return Suspect(plugin, cells, since, known, _without_repeats(blamed))


def merged(samples: Iterable[Sample]) -> list[Sample]:
    """Return one sample for each finest cell, in a fixed order."""
    cells: dict[tuple[str, ...], Sample] = {}
    for sample in samples:
        key = (sample.version, sample.operation, sample.instance, sample.machine, sample.tenant, sample.service)
        other = cells.get(key)
        cells[key] = sample if other is None else _sum(other, sample)
    return [cells[key] for key in sorted(cells)]


def _sum(one: Sample, other: Sample) -> Sample:
    onsets = [sample.since for sample in (one, other) if sample.since is not None and not sample.ended]
    return replace(
        one,
        total=one.total + other.total,
        bad=round(_bad(one) + _bad(other)),
        expected_ratio=max(one.expected_ratio, other.expected_ratio),
        errors=Counter(one.errors) + Counter(other.errors),
        since=min(onsets, default=None),
        ended=one.ended and other.ended,
        known=one.known or other.known,
    )


def search(samples: Sequence[Sample]) -> Search:
    """Return the table of a plugin's cells. An attribute that has one value in all of them tells nothing, so it names nothing."""
    columns = [[getattr(sample, name) for sample in samples] for name in ATTRIBUTES]
    told = [len(set(column)) > 1 for column in columns]
    leaves = []
    for at, sample in enumerate(samples):
        values = tuple(
            columns[attribute][at]
            if told[attribute] and columns[attribute][at] not in _UNTELLABLE[attribute]
            else _UNNAMED
            for attribute in range(len(ATTRIBUTES))
        )
        leaves.append(Leaf(values, sample.total, _bad(sample), sample.expected_ratio))
    return Search(leaves, list(ATTRIBUTE_NATS.values()), unnamed=frozenset({_UNNAMED}))


def _bad(sample: Sample) -> float:
    """Return the bad calls that count: none above the expected where the trouble is over."""
    bad = min(sample.bad, sample.total)
    return min(bad, sample.total * sample.expected_ratio) if sample.ended else bad


def blamed_for(cells: Sequence[Sample], factor: Factor, since: datetime) -> Blamed:
    """Return a factor as a plugin's, narrowed to what its evidence reaches."""
    conditions = dict(factor.conditions)
    if not conditions.keys() & {VERSION, INSTANCE, MACHINE}:
        # A release that is to mend it begins with a clean slate, unless two versions fail alike or it is a process that is broken.
        version = _only(_meeting(cells, conditions), "version")
        if version is not None and version not in _UNTELLABLE[VERSION]:
            conditions[VERSION] = version
    sender = ""
    if INSTANCE not in conditions:
        only = _only(_meeting(cells, conditions), "instance")
        reach = {attribute: value for attribute, value in conditions.items() if attribute in (VERSION, MACHINE)}
        reached = {sample.instance for sample in _meeting(cells, reach)}
        # Who speaks alone is believed of its own calls; where nobody else runs this, those are all there are.
        if only is not None and only not in _UNTELLABLE[INSTANCE] and len(reached) > 1:
            conditions[INSTANCE] = sender = only
    if INSTANCE in conditions:
        conditions.pop(MACHINE, None)
    bad = [cells[at] for at in factor.leaves if cells[at].bad and not cells[at].ended]
    errors: Counter[str] = Counter()
    for sample in bad:
        errors.update(sample.errors)
    onsets = [sample.since for sample in bad if sample.since is not None]
    instances = tuple(sorted({sample.instance for sample in bad}))
    return Blamed(factor, tuple(sorted(conditions.items())), min(onsets, default=since), errors, instances, sender)


def _meeting(cells: Sequence[Sample], conditions: Mapping[int, str]) -> list[Sample]:
    """Return the cells that meet all conditions."""
    wanted = [(ATTRIBUTES[attribute], value) for attribute, value in conditions.items()]
    return [sample for sample in cells if all(getattr(sample, name) == value for name, value in wanted)]


def _only(covered: Iterable[Sample], name: str) -> str | None:
    """Return the value that holds all the evidence; None where other values bear it out by themselves."""
    groups: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in covered:
        if sample.total:
            groups[getattr(sample, name)].append(sample)
    if not groups:
        return None
    weights = {value: _nats(group) for value, group in groups.items()}
    first = max(weights, key=lambda value: (weights[value], value))
    others = [sample for value, group in groups.items() if value != first for sample in group]
    stands = _nats(others) >= ALONE_NATS and sum(_bad(sample) for sample in others) >= ALONE_BAD
    return None if stands else first


def _nats(samples: Sequence[Sample]) -> float:
    total, bad = sum(sample.total for sample in samples), sum(_bad(sample) for sample in samples)
    expected = sum(sample.total * sample.expected_ratio for sample in samples)
    return excess_nats(total, bad, expected / total) if total else 0.0


def _without_repeats(blamed: Iterable[Blamed]) -> tuple[Blamed, ...]:
    """Leave out what a wider scope of the same plugin covers already."""
    kept: list[Blamed] = []
    for item in blamed:
        if not any(set(other.conditions) <= set(item.conditions) for other in kept):
            kept = [other for other in kept if not set(item.conditions) <= set(other.conditions)] + [item]
    return tuple(kept)
