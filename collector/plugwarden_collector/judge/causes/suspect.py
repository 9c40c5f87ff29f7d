"""A plugin that fails, by itself: the factors that describe its failures, and the scopes that follow from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf

from .cells import INSTANCE, MACHINE, VERSION, Cells, cells_of
from .factors import Factor
from .sample import Sample
from .table import Condition

__all__ = ["Blamed", "Suspect", "blamed_for", "suspect", "suspects_of"]


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

    def has(self, attributes: Iterable[int]) -> bool:
        """Return whether the search, not the want of other evidence, narrowed it by one of these attributes."""
        return any(attribute in attributes for attribute, _ in self.factor.conditions)


@dataclass(frozen=True, slots=True)
class Suspect:
    """One plugin, since its trouble began."""

    plugin: str
    cells: Cells
    known: bool
    """Whether the plugin has a past or several senders."""
    blamed: tuple[Blamed, ...]
    without: str = ""
    """The one process that is well among many that are not, and is left out; empty where none is."""
    apart: float = -inf
    """Nats by which several faults, told apart by their types of errors, describe it better than these."""


def suspects_of(samples: Iterable[Sample]) -> list[Suspect]:
    """Return the plugins that something was found against, each with the factors that describe its failures."""
    samples = list(samples)
    names = {sample.plugin for sample in samples if sample.since is not None}
    failing: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.plugin in names:
            failing[sample.plugin].append(sample)
    return [suspect(plugin, failing[plugin]) for plugin in sorted(failing)]


def suspect(plugin: str, samples: Iterable[Sample]) -> Suspect:
    """Return one plugin with the factors that describe its failures."""
    cells = cells_of(samples)
    since = min(sample.since for sample in cells.samples if sample.since is not None)
    blamed = [blamed_for(cells, factor, since) for factor in cells.search.run()]
    return Suspect(plugin, cells, any(sample.known for sample in cells.samples), _without_repeats(blamed))


def blamed_for(cells: Cells, factor: Factor, since: datetime) -> Blamed:
    """Return a factor as a plugin's, narrowed to what its evidence reaches; `since` holds where none of its cells has an onset."""
    conditions = dict(factor.conditions)
    if not conditions.keys() & {VERSION, INSTANCE, MACHINE}:
        # A release that is to mend it begins with a clean slate, unless two versions fail alike or it is a process that is broken.
        version = cells.only(cells.table.meeting(conditions.items()), VERSION)
        if version is not None:
            conditions[VERSION] = version
    sender = ""
    if INSTANCE not in conditions:
        only = cells.only(cells.table.meeting(conditions.items()), INSTANCE)
        reach = cells.table.meeting(item for item in conditions.items() if item[0] in (VERSION, MACHINE))
        # Who speaks alone is believed of its own calls; where nobody else runs this, those are all there are.
        if only is not None and len({cells.table.columns[INSTANCE][at] for at in reach}) > 1:
            conditions[INSTANCE] = sender = only
    if INSTANCE in conditions:
        conditions.pop(MACHINE, None)
    failing = [at for at in factor.cells if cells.table.bad[at]]
    bad = [cells.samples[at] for at in failing]
    errors = cells.errors(failing)
    onsets = [sample.since for sample in bad if sample.since is not None]
    instances = tuple(sorted({sample.instance for sample in bad}))
    return Blamed(factor, tuple(sorted(conditions.items())), min(onsets, default=since), errors, instances, sender)


def _without_repeats(blamed: Iterable[Blamed]) -> tuple[Blamed, ...]:
    """Leave out what a wider scope of the same plugin covers already."""
    kept: list[Blamed] = []
    for item in blamed:
        if not any(set(other.conditions) <= set(item.conditions) for other in kept):
            kept = [other for other in kept if not set(item.conditions) <= set(other.conditions)] + [item]
    return tuple(kept)
