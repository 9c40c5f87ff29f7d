"""Rows fit a width, and whatever stands in them stays whole."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from plugwarden_collector.command.grid import Column, grid, wrapped
from rich.cells import cell_len


def test_what_fits_is_a_table() -> None:
    text = grid([Column("name"), Column("n", right=True)], [["a", "1"], ["bb", "22.5"]], 80)
    assert text.splitlines() == ["name     n", "----  ----", "a        1", "bb    22.5"]
    assert grid([Column("a")], [], 80) == "a\n-"


def test_prose_takes_what_is_left_between_words() -> None:
    text = grid([Column("name"), Column("why", prose=True)], [["a", "one two three four five six seven eight"]], 40)
    assert text.splitlines()[2:] == ["a     one two three four five six seven", "      eight"]


def test_what_does_not_fit_is_a_record_a_row() -> None:
    columns = [Column("plugin"), Column("why", prose=True), Column("p99", right=True)]
    text = grid(columns, [["x" * 20, "one two three four five six seven", "12 ms"], ["b", "c", "—"]], 40)
    assert text.splitlines() == [
        "plugin  " + "x" * 20, "why     one two three four five six", "        seven", "p99     12 ms",
        "", "plugin  b", "why     c", "p99     —",
    ]  # fmt: skip


words = st.text(st.sampled_from("ab数🔌 "), max_size=40)


@example([("", "", "aaaaaaaaa数数数数 ")], 24)
@given(st.lists(st.tuples(words, words, words), max_size=4), st.integers(24, 90))
def test_nothing_is_cut_and_no_line_is_too_long(rows: list[tuple[str, str, str]], width: int) -> None:
    text = grid([Column("one"), Column("two", prose=True), Column("three", right=True)], rows, width)
    assert max(map(cell_len, text.splitlines()), default=0) <= width
    for sign in "b数🔌":  # of which no heading has one
        assert text.count(sign) == sum(cell.count(sign) for row in rows for cell in row)


def test_a_word_that_is_longer_than_a_line_is_broken() -> None:
    assert wrapped("ab " + "x" * 7 + " c", 3) == ["ab", "xxx", "xxx", "x c"]
