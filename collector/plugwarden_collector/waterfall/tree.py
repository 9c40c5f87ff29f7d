"""The tree that the spans of a trace make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["Node", "tree", "ways"]

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Node:
    """A span at its place in the tree."""

    span: Mapping[str, Any]
    """The span, as `GET /api/v1/traces/{id}` has it."""
    parent: int | None
    """Place of its parent in the tree; None for a root."""
    depth: int
    """How many spans it is part of."""
    begin_us: int
    """When it began, in microseconds since the first span did."""
    end_us: int
    """When it ended; likewise."""
    self_us: int
    """Microseconds of it in which none of its children ran."""
    orphan: bool
    """Whether it names a parent that is not among the spans."""

    @property
    def failed(self) -> bool:
        """Whether its status is an error."""
        return bool(self.span["status"] == "error")


def tree(spans: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Return the spans with parents before children, and children in the order in which they began.

    Each span has one place, whatever it claims: of spans with one id the first is the parent of those that name it, and a circle
    of parents is opened at its earliest span. Iterative, for traces can be as deep as they are long.
    """
    if not spans:
        return []
    starts = [_moment(span["started_at"]) for span in spans]
    first = min(starts)
    begins = [(start - first) // MICROSECOND for start in starts]
    ends = [begin + round(span["duration_seconds"] * 1e6) for begin, span in zip(begins, spans, strict=True)]
    parents = _parents(spans, begins)
    children: defaultdict[int | None, list[int]] = defaultdict(list)
    for place in sorted(range(len(spans)), key=begins.__getitem__, reverse=True):
        children[parents[place]].append(place)
    found: list[Node] = []
    waiting: list[tuple[int, int | None, int]] = [(place, None, 0) for place in children[None]]
    while waiting:
        place, parent, depth = waiting.pop()
        busy = _covered([(begins[child], ends[child]) for child in children[place]], begins[place], ends[place])
        orphan = parents[place] is None and spans[place]["parent_span_id"] is not None
        node = Node(spans[place], parent, depth, begins[place], ends[place], ends[place] - begins[place] - busy, orphan)
        waiting += [(child, len(found), depth + 1) for child in children[place]]
        found.append(node)
    return found


def ways(nodes: Sequence[Node]) -> set[int]:
    """Return the places of all spans that failed, and of those that lead to them."""
    found: set[int] = set()
    for place, node in enumerate(nodes):
        at: int | None = place
        while node.failed and at is not None and at not in found:
            found.add(at)
            at = nodes[at].parent
    return found


def _parents(spans: Sequence[Mapping[str, Any]], begins: Sequence[int]) -> list[int | None]:
    """Return the place of each span's parent; circles are open."""
    known: dict[str, int] = {}
    for place, span in enumerate(spans):
        known.setdefault(span["span_id"], place)
    parents = [known.get(span["parent_span_id"]) for span in spans]
    seen = [0] * len(spans)  # the walk that came by first
    for walk, start in enumerate(range(len(spans)), 1):
        at: int | None = start
        path = []
        while at is not None and not seen[at]:
            seen[at] = walk
            path.append(at)
            at = parents[at]
        if at is not None and seen[at] == walk:
            parents[min(path[path.index(at) :], key=begins.__getitem__)] = None
    return parents


def _covered(stretches: list[tuple[int, int]], since: int, until: int) -> int:
    """Return how much of the time from `since` to `until` lies in at least one stretch."""
    covered, edge = 0, since
    for begin, end in sorted(stretches):
        begin, end = max(begin, edge), min(end, until)
        if end > begin:
            covered += end - begin
            edge = end
    return covered


def _moment(value: str | datetime) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo else at.replace(tzinfo=UTC)
