"""What a trace waited for: the stretches of time that would have to get shorter for it to be over sooner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from .tree import Node

__all__ = ["Section", "critical_path"]


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a span in which all else waited for it."""

    place: int
    """Place of the span in the tree."""
    begin_us: int
    """Its beginning, in microseconds since the first span began."""
    end_us: int
    """Its end; likewise, and later."""


def critical_path(nodes: Sequence[Node]) -> list[Section]:
    """Return the critical path of each root, from its end back to its beginning.

    As Jaeger has it (`TracePage/CriticalPath`): from a span's end back to the end of its child that ended last, within that child
    likewise, and from where that began back to the child that had ended by then. Children are cut to their parents' time, and what
    lies outside of it is left out, as is what nobody waits for: consumers of messages. A child that ended in the very microsecond in
    which the next one began is on the path here; Jaeger passes over it.
    """
    stretches = _within_parents(nodes)
    ended: defaultdict[int, list[int]] = defaultdict(list)
    for place in sorted(stretches, key=lambda place: stretches[place][1]):
        parent = nodes[place].parent
        if parent is not None:
            ended[parent].append(place)
    found = []
    for root in [place for place, node in enumerate(nodes) if node.parent is None]:
        at: int | None = root
        until = stretches[root][1]
        while at is not None:
            rest = ended[at]
            # Time only goes back, so that a child that had not ended by now never will have.
            while rest and stretches[rest[-1]][1] > until:
                rest.pop()
            child = rest.pop() if rest else None
            begin = stretches[at][0] if child is None else stretches[child][1]
            if begin < until:
                found.append(Section(at, begin, until))
                until = begin
            at = nodes[at].parent if child is None else child
    return found


def _within_parents(nodes: Sequence[Node]) -> dict[int, tuple[int, int]]:
    """Return when each span that others waited for began and ended, within its parent."""
    found: dict[int, tuple[int, int]] = {}
    for place, node in enumerate(nodes):
        if node.parent is None:
            found[place] = node.begin_us, node.end_us
        elif node.parent in found and node.span["kind"] != "consumer":
            since, until = found[node.parent]
            if node.begin_us < until and node.end_us > since:
                found[place] = max(node.begin_us, since), min(node.end_us, until)
    return found
