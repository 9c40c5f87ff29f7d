"""Numbers, ratios, sizes and budgets read the same wherever they stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.figures import budget, counted, number, percent, size, times


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (0, "0"),
        (0.1234, "0.123"),
        (99.97, "100"),
        (1234.5, "1,234"),
        (1e6, "1,000,000"),
        (1e300, "1e+300"),
        (-2.5e15, "-2.5e+15"),
    ],
)
def test_a_number_has_three_digits_and_an_exponent_only_beyond_all_sense(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "—"), (0, "0 %"), (0.000_01, "<0.01 %"), (0.0001, "0.01 %"), (0.1, "10 %"), (1 / 3, "33.3 %"), (2 / 3, "66.7 %"),
        (0.9, "90 %"), (0.999, "99.9 %"), (0.9995, "99.95 %"), (0.999_45, "99.945 %"), (0.999_99, "99.999 %"), (1, "100 %"),
        (1.5, "150 %"), (-20, "-2,000 %"),
    ],
)  # fmt: skip
def test_a_ratio_keeps_its_nines(ratio: float | None, text: str) -> None:
    assert percent(ratio) == text


@given(st.floats(1e-12, 1 - 1e-9))
def test_something_is_never_nothing_and_less_than_all_is_never_all(ratio: float) -> None:
    assert percent(ratio) not in {"0 %", "100 %"}


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "—"),
        (1, "100 %"),
        (0.25, "25 %"),
        (0, "spent"),
        (-0.2, "spent 1.2×"),
        (-1, "spent 2×"),
        (-20, "spent 21×"),
    ],
)
def test_a_budget_says_how_often_it_is_spent(ratio: float | None, text: str) -> None:
    assert budget(ratio) == text


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(None, "—"), (0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (2**20 - 1, "1 MiB"), (3 * 2**40, "3 TiB")],
)
def test_a_size_takes_the_unit_that_suits_it(nbytes: float | None, text: str) -> None:
    assert size(nbytes) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1234, "1,234 rows"), (None, "— rows")]
)
def test_one_of_a_thing_is_said_in_the_singular(count: int | None, text: str) -> None:
    assert counted(count, "row") == text


def test_a_plural_of_its_own_is_named() -> None:
    assert [counted(number, "process", "processes") for number in (1, 2)] == ["1 process", "2 processes"]


def test_a_rate_is_a_multiple_of_what_is_allowed() -> None:
    assert [times(14.4), times(1000), times(None)] == ["14.4×", "1,000×", "—"]


def test_a_page_and_a_table_tell_one_figure_alike() -> None:
    from plugwarden_collector.command import output
    from plugwarden_dashboards import words

    assert (words.percent, words.size, words.budget, words.counted) == (percent, size, budget, counted)
    assert output.clean(0.1234) == number(0.1234)
