"""Repeated looks are folded, and none is left out of the counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.audit.looks import Folding, Seen

from tests.collector.support.stores import AT


def told_by(folding: Folding, seconds: float, **options: Any) -> list[tuple[str, int]]:
    return [
        (draft.reason, draft.evidence["count"]) for draft in folding.due(AT + timedelta(seconds=seconds), **options)
    ]  # type: ignore[index]


def test_the_first_is_told_at_once_and_repeats_once_a_window() -> None:
    folding, seen = Folding(), Seen("sql_read", "a", "s", "select 1")
    for second in range(900):
        folding.note(seen, AT + timedelta(seconds=second), {})
        assert told_by(folding, second) == {
            0: [("select 1", 1)],
            300: [("select 1", 300)],
            600: [("select 1", 300)],
        }.get(second, [])
    assert told_by(folding, 900) == [("select 1", 299)]
    assert told_by(folding, 1300) == []
    assert folding.kept == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400), st.integers(0, 3)), max_size=400))
def test_nothing_that_happened_is_left_out_of_the_counts(events: list[tuple[int, int, int]]) -> None:
    folding, told = Folding(), 0
    for second, (step, what, actor) in enumerate(events):
        at = AT + timedelta(seconds=second * step)
        folding.note(Seen("sql_read", str(actor), "s", str(what)), at, {})
        told += sum(draft.evidence["count"] for draft in folding.due(at))  # type: ignore[index]
    told += sum(draft.evidence["count"] for draft in folding.due(AT, everything=True))  # type: ignore[index]
    assert told == len(events)


def test_who_asks_ever_new_things_fills_neither_the_log_nor_the_memory_and_hides_nobody() -> None:
    folding, entries_total = Folding(), 0
    for number in range(30_000):
        at = AT + timedelta(milliseconds=10 * number)
        folding.note(Seen("sql_read", "noisy", "s", str(number)), at, {})
        if number == 20_000:
            folding.note(Seen("sql_read", "quiet", "s", "select 1"), at, {})
            folding.note(Seen("backup_read", "noisy", "store", "a backup"), at, {})
        if number % 100 == 0:
            drafts = folding.due(at)
            entries_total += len(drafts)
            if number == 20_000:
                assert {draft.actor for draft in drafts if draft.kind == "sql_read"} >= {"quiet"}
                assert any(draft.kind == "backup_read" for draft in drafts)
    assert entries_total < 200
    assert len(folding.kept) < 100
    assert folding.overflowed > 29_000
