"""A trace as a tree, what it waited for, and the rows of it: whatever its spans claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.waterfall import critical_path, rows, tree, ways

AT = datetime(2026, 11, 20, 12)


def span(name: str, parent: str | None, begin: int, took: int, **more: Any) -> dict[str, Any]:
    at = AT + timedelta(microseconds=begin)
    return {
        "span_id": name, "parent_span_id": parent, "name": name, "started_at": f"{at.isoformat()}Z", "kind": "internal",
        "duration_seconds": took / 1e6, "status": "unset", "plugin_id": None, "plugin_version": None, **more,
    }  # fmt: skip


def path(spans: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, int]]:
    nodes = tree(spans)
    first = min(datetime.fromisoformat(item["started_at"]).replace(tzinfo=None) for item in spans)
    offset = (first - AT) // timedelta(microseconds=1)
    return [
        (nodes[item.place].span["name"], item.begin_us + offset, item.end_us + offset) for item in critical_path(nodes)
    ]


JAEGER = {
    "1: two children, one after the other": (
        [span("E", "C", 50, 10), span("C", None, 1, 100), span("D", "C", 20, 20)],
        [("C", 60, 101), ("E", 50, 60), ("C", 40, 50), ("D", 20, 40), ("C", 1, 20)],
    ),
    "2: two children that overlap": (
        [span("X", None, 1, 100), span("A", "X", 10, 40), span("C", "X", 20, 40)],
        [("X", 60, 101), ("C", 20, 60), ("X", 1, 20)],
    ),
    "3: a child that begins after its parent's end": (
        [span("A", None, 100, 40), span("B", "A", 150, 70)],
        [("A", 100, 140)],
    ),
    "4: the same with a child of its own": (
        [span("A", None, 1, 30), span("B", "A", 40, 40), span("C", "B", 50, 10)],
        [("A", 1, 31)],
    ),
    "5: a child that nobody waits for": (
        [span("A", None, 1, 30), span("B", "A", 10, 10, kind="consumer")],
        [("A", 1, 31)],
    ),
    "6: a child that ends after its parent, and its own that begins before it": (
        [span("A", None, 1, 29), span("B", "A", 15, 20), span("C", "B", 10, 15)],
        [("B", 25, 30), ("C", 15, 25), ("A", 1, 15)],
    ),
    "7: children that end after their parents": (
        [span("A", None, 1, 29), span("B", "A", 15, 20), span("C", "B", 20, 20)],
        [("C", 20, 30), ("B", 15, 20), ("A", 1, 15)],
    ),
    "8: a child that begins before its parent and ends after it": (
        [span("A", None, 10, 20), span("B", "A", 5, 30)],
        [("B", 10, 30)],
    ),
    "9: a child that ends before its parent begins": (
        [span("A", None, 10, 20), span("B", "A", 1, 4)],
        [("A", 10, 30)],
    ),
}


@pytest.mark.parametrize("case", JAEGER)
def test_the_critical_path_is_jaegers(case: str) -> None:
    spans, expected = JAEGER[case]
    assert path(spans) == expected


def test_a_child_that_ends_as_the_next_begins_is_on_the_path() -> None:
    spans = [span("A", None, 0, 20), span("B", "A", 0, 10), span("C", "A", 10, 10), span("D", "A", 10, 0)]
    assert path(spans) == [("C", 10, 20), ("B", 0, 10)]


def test_a_trace_as_deep_as_it_is_long_is_read_without_recursion() -> None:
    spans = [span(str(n), str(n - 1) if n else None, n, 40_000 - 2 * n) for n in range(12_000)]
    nodes = tree(spans)
    assert [node.depth for node in nodes] == list(range(12_000))
    assert len(critical_path(nodes)) == 2 * 12_000 - 1


def test_what_a_span_did_itself_is_what_its_children_do_not_cover() -> None:
    spans = [span("A", None, 0, 100), span("B", "A", 10, 30), span("C", "A", 20, 30), span("D", "A", 90, 500)]
    assert [(node.span["name"], node.self_us) for node in tree(spans)] == [("A", 50), ("B", 30), ("C", 30), ("D", 500)]


def test_a_span_without_its_parent_is_an_orphan_and_a_circle_is_opened() -> None:
    spans = [span("A", "gone", 5, 1), span("B", "C", 2, 1), span("C", "B", 1, 1), span("D", "D", 9, 1)]
    found = [(node.span["name"], node.depth, node.orphan) for node in tree(spans)]
    assert found == [("C", 0, True), ("B", 1, False), ("A", 0, True), ("D", 0, True)]
    assert tree([]) == []


names = st.sampled_from("abcdef")


@given(
    st.lists(
        st.tuples(names, names | st.none(), st.integers(0, 50), st.integers(0, 50), st.booleans()),
        max_size=20,
    ),
    st.integers(1, 10),
)
def test_whatever_spans_claim_each_has_one_place_and_no_failure_is_folded(
    claimed: list[tuple[str, str | None, int, int, bool]], most: int
) -> None:
    spans = [span(*item[:4], status="error" if item[4] else "unset", key=n) for n, item in enumerate(claimed)]
    nodes = tree(spans)
    assert sorted(node.span["key"] for node in nodes) == list(range(len(spans)))
    assert all(node.parent is None or (node.parent < place) for place, node in enumerate(nodes))
    for root in (place for place, node in enumerate(nodes) if node.parent is None):
        mine = [item for item in critical_path(nodes) if _root(nodes, item.place) == root]
        assert sum(item.end_us - item.begin_us for item in mine) == nodes[root].end_us - nodes[root].begin_us
        assert all(later.end_us <= sooner.begin_us for sooner, later in pairwise(mine))
    found, left_out = rows(nodes, most)
    places = [place for row in found for place in row.places]
    assert len(places) == len(set(places)) == len(nodes) - left_out
    leading = ways(nodes)
    assert all(len(row.places) == 1 or not leading & set(row.places) for row in found)
    if len(nodes) > most:
        assert len(found) <= most
        assert len(leading & set(places)) == min(len(leading), most)


def _root(nodes: Sequence[Any], place: int) -> int:
    while nodes[place].parent is not None:
        place = nodes[place].parent
    return place


def test_spans_that_are_alike_are_one_row_and_the_one_that_failed_is_not_among_them() -> None:
    spans = [span("A", None, 0, 9000), *(span(f"q{n}", "A", n, 1) | {"name": "query"} for n in range(200))]
    spans += [span("x", "q7", 7, 1, status="error"), span("y", "q9", 9, 1)]
    nodes = tree(spans)
    found, left_out = rows(nodes, 50)
    shown = [(nodes[row.places[0]].span["name"], len(row.places)) for row in found]
    assert shown == [("A", 1), ("query", 199), ("query", 1), ("x", 1)]
    assert left_out == 1
    assert [nodes[row.places[0]].span["span_id"] for row in rows(nodes, 50, ways(nodes))[0]] == ["A", "q7", "x"]
    assert len(rows(nodes)[0]) == len(spans)
