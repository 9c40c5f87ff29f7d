"""A trace as text: its spans as a tree, each with a bar, what it took, and what went wrong in it. Pure functions of a trace and a width."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from plugwarden.contract import attributes
from rich.cells import cell_len

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted
from plugwarden_collector.waterfall import Node, Row, Section, rows

from .grid import wrapped
from .output import clean

__all__ = ["summary", "waterfall_lines"]

SHARE_OF_NAMES = 0.45
"""Share of the width that names and the tree have; bars have what figures leave."""
FIGURES = 18
"""Cells of what a span took and what of that it did itself."""
DEEPEST = 10
"""Levels that are drawn; deeper ones say how deep they are."""
MOST_LOGS = 200
"""Log records that are shown among the spans: `plugwarden logs --trace` has all."""
ON_PATH, OFF_PATH = "█", "░"


def summary(nodes: Sequence[Node], sections: Sequence[Section], span_count: int) -> list[str]:
    """Return what there is to say of a trace as a whole, a sentence an entry."""
    end = max(node.end_us for node in nodes)
    failed = sum(node.failed for node in nodes)
    services = len({node.span["service_name"] for node in nodes})
    orphans = sum(node.orphan for node in nodes)
    found = [
        f"{duration(end / 1e6)}, {counted(span_count, 'span')}, {counted(failed, 'error')}, {counted(services, 'service')}"
    ]
    if len(nodes) < span_count:
        found.append(f"Only {len(nodes):,} spans are read: those that failed, the ways to them, and then the oldest.")
    if orphans:
        found.append(
            f"{counted(orphans, 'orphan')}: the parent was not kept, or has not arrived; each begins a tree of its own."
        )
    ahead = [nodes[node.parent].begin_us - node.begin_us for node in nodes if node.parent is not None]
    if late := [us for us in ahead if us > 0]:
        found.append(
            f"{counted(len(late), 'span begins', 'spans begin')} before the parent, by up to {duration(max(late) / 1e6)}: "
            "clocks of hosts differ, and bars are off by that much."
        )
    waited: Counter[str] = Counter()
    for section in sections:
        waited[_owner(nodes[section.place].span)] += section.end_us - section.begin_us
    if waited:
        parts = [f"{name} {duration(us / 1e6)}" for name, us in waited.most_common(5)]
        found.append(f"Critical path ({ON_PATH}): {', '.join(parts)}")
    return found


def waterfall_lines(
    nodes: Sequence[Node],
    sections: Sequence[Section],
    logs: Sequence[Mapping[str, Any]],
    width: int,
    most: int | None = None,
    only: Collection[int] | None = None,
) -> Iterator[str]:
    """Return the lines of a waterfall: at most `width` cells each, and `most` rows of spans."""
    shown, left_out = rows(nodes, most, only)
    logs_of: defaultdict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    known = {nodes[row.places[0]].span["span_id"] for row in shown}
    for record in logs[:MOST_LOGS]:
        logs_of[record["span_id"] if record["span_id"] in known else None].append(record)
    on_path = {place: list(group) for place, group in groupby(sorted(sections, key=_place), key=_place)}
    names = int(width * SHARE_OF_NAMES)
    bars = _Bars(max((node.end_us for node in nodes), default=0), width - names - FIGURES - 2)
    yield f"{'span':{names}} {'':{bars.width}} {'took':>8} {'itself':>9}".rstrip()
    for row, lead, below in zip(shown, *_leads(shown), strict=True):
        first = [nodes[place] for place in row.places]
        took = sum(node.end_us - node.begin_us for node in first)
        itself = sum(node.self_us for node in first)
        bar = bars.bar(first, [item for place in row.places for item in on_path.get(place, ())])
        figures = f"{bar} {duration(took / 1e6):>8} {duration(itself / 1e6):>9}"
        *whole, last = wrapped(_title(row, first), max(8, names - cell_len(lead)))
        if whole or cell_len(lead + last) > names:  # a name is not cut: it has lines of its own
            for number, line in enumerate(wrapped(_title(row, first), width - cell_len(lead))):
                yield (below if number else lead) + line
            lead, last = below, ""
        yield f"{lead}{last}{' ' * (names - cell_len(lead + last))} {figures}"
        details = [] if len(first) > 1 else [*_told(first[0]), *map(_log, logs_of.pop(first[0].span["span_id"], ()))]
        for text in details:
            for number, line in enumerate(wrapped(text, width - cell_len(below) - 2)):
                yield f"{below}{'  ' if number else '! ' if text.startswith('error') else '· '}{line}"
    if left_out:
        yield f"{counted(left_out, 'span')} of {len(nodes):,} not shown: --all shows every one, --errors the ways to errors."
    if rest := logs_of.get(None):
        yield "logs of no span that is shown:"
        for record in rest:
            yield from (f"  {line}" for line in wrapped(_log(record), width - 2))
    if len(logs) > MOST_LOGS:
        yield f"{len(logs) - MOST_LOGS:,} more log records: `plugwarden logs --trace ID` lists them."


class _Bars:
    """Bars on one scale."""

    def __init__(self, whole_us: int, width: int) -> None:
        self.width, self._whole = max(1, width), max(1, whole_us)

    def bar(self, nodes: Sequence[Node], sections: Sequence[Section]) -> str:
        cells = [" "] * self.width
        for sign, stretches in ((OFF_PATH, nodes), (ON_PATH, sections)):
            for item in stretches:
                first = min(self.width - 1, item.begin_us * self.width // self._whole)
                last = max(first + 1, -(-item.end_us * self.width // self._whole))
                cells[first:last] = sign * (min(last, self.width) - first)
        return "".join(cells)


def _leads(shown: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Return what stands before each row, and before the lines below it."""
    leads, belows = [], []
    goes_on: set[int] = set()  # depths at which another row of the same parent follows
    for row in reversed(shown):
        depth = row.depth
        more = depth in goes_on
        goes_on = {level for level in goes_on if level < depth} | {depth}
        drawn = range(max(1, depth - DEEPEST + 1), depth)
        stem = f"{depth}: " if depth > DEEPEST else ""
        stem += "".join("│ " if level in goes_on else "  " for level in drawn)
        turn = "" if depth == 0 else "├ " if more else "└ "
        leads.append(stem + turn)
        belows.append(
            " " * (len(stem) - 2 * len(drawn))
            + stem[len(stem) - 2 * len(drawn) :]
            + (turn and ("│ " if more else "  "))
        )
    return leads[::-1], belows[::-1]


def _title(row: Row, nodes: Sequence[Node]) -> str:
    span = nodes[0].span
    name, owner = clean(span["name"]), _owner(span)
    times = f"×{len(row.places)} " if len(row.places) > 1 else ""
    mark = "ERROR " if nodes[0].failed else ""
    return f"{mark}{times}{name}" + (f" ({owner})" if owner != "host" and owner not in name else "")


def _owner(span: Mapping[str, Any]) -> str:
    """Return whose time a span is: a plugin's, that of what it waited for, or the host's own."""
    if span["downstream"]:
        return f"downstream {clean(span['downstream'])}"
    # A host's own spans carry a scope that is no plugin; they are told apart by having no outcome.
    return f"{clean(span['plugin_id'])}@{clean(span['plugin_version'])}" if span["outcome"] else "host"


def _told(node: Node) -> Iterator[str]:
    """Return what went wrong in a span, and what the gate decided about it."""
    span, said = node.span, node.span["attributes"] or {}
    if node.orphan:
        yield f"orphan: its parent {clean(span['parent_span_id'])} is not here"
    if span["outcome"] == "rejected":
        yield f"refused by the gate: {clean(said.get(attributes.PLUGIN_REJECTION_REASON) or span['error_type'])}"
    elif node.failed or span["error_type"]:
        messages = [
            (event["attributes"] or {}).get(attributes.EXCEPTION_MESSAGE)
            for event in span["events"] or ()
            if event["name"] == "exception"
        ]
        message = next(filter(None, [span["status_message"], *messages]), "")
        blamed = f" (blamed on {clean(span['error_source'])})" if span["error_source"] else ""
        yield f"error {clean(span['error_type'] or 'of no type')}{blamed}" + (f": {clean(message)}" if message else "")
    for key, text in GATE.items():
        if said.get(key) not in (None, "", "false"):
            yield text if said[key] == "true" else f"{text}: {clean(said[key])}"


GATE = {
    attributes.PLUGIN_FALLBACK: "a fallback answered",
    attributes.PLUGIN_PROBE: "a probe of the breaker",
    attributes.PLUGIN_ABANDONED: "left running after its deadline",
    attributes.PLUGIN_TRACE_CUT: "spans below were not kept",
}
"""Attribute of a span -> what the gate did, in words."""


def _log(record: Mapping[str, Any]) -> str:
    return f"{clean(record['time'])[11:23]} {clean(record['severity_text'])} {clean(record['body'])}"


def _place(section: Section) -> int:
    return section.place
