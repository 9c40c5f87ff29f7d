"""The rows of a waterfall: spans, and where there are too many of them, likes folded into one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .tree import Node, ways

__all__ = ["Row", "rows"]

LEAST_ALIKE = 3
"""Spans that are folded into one row; two take no more room than what says that they are two."""


@dataclass(frozen=True, slots=True)
class Row:
    """A span, or several of one parent that are alike."""

    places: tuple[int, ...]
    """Places of the spans in the tree, in the order in which they began."""
    depth: int
    """How many spans it is part of."""


def rows(nodes: Sequence[Node], most: int | None = None, only: Collection[int] | None = None) -> tuple[list[Row], int]:
    """Return the rows of a tree in its order, and how many spans are in none of them.

    With more than `most` spans, those of one parent with the same name and owner are one row, and what is below them is left out, but
    never a span that failed or leads to one that did. Where that is not enough, the ways to failures come first and then whatever
    comes first. `only`: places of the spans to show.
    """
    shown = [place for place in range(len(nodes)) if only is None or place in only]
    if most is None or len(shown) <= most:
        return [Row((place,), nodes[place].depth) for place in shown], 0
    leading = ways(nodes)
    folded = _folded(nodes, shown, leading)
    if len(folded) > most:
        first = sorted(range(len(folded)), key=lambda index: (folded[index].places[0] not in leading, index))[:most]
        folded = [folded[index] for index in sorted(first)]
    return folded, len(shown) - sum(len(row.places) for row in folded)


def _folded(nodes: Sequence[Node], shown: Sequence[int], leading: Collection[int]) -> list[Row]:
    alike: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    keys: dict[int, tuple[object, ...]] = {}
    below: set[int] = set()
    found = []
    for place in shown:
        if place not in leading:
            span = nodes[place].span
            key = keys[place] = nodes[place].parent, span["name"], span["plugin_id"], span["plugin_version"]
            alike[key].append(place)
    for place in shown:
        node = nodes[place]
        group = alike[keys[place]] if place in keys else []
        if node.parent in below or (len(group) >= LEAST_ALIKE and group[0] != place):
            below.add(place)
        elif len(group) >= LEAST_ALIKE:
            below.add(place)
            found.append(Row(tuple(group), node.depth))
        else:
            found.append(Row((place,), node.depth))
    return found
