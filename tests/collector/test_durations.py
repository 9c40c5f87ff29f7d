"""A duration reads the same wherever it stands."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.durations import UNITS, ago, duration

ROOT = Path(__file__).parents[2]
WRITERS = [*ROOT.glob("collector/plugwarden_collector/**/*.py"), *ROOT.glob("dashboards/plugwarden_dashboards/**/*.py")]
UNIT_AFTER_FIGURE = re.compile(r"^ ?(µs|ms|min|h|d)\b")
INTERPRETED_ELSEWHERE = {"durations.py", "workable.py"}
"""The one place, and texts as they are written into rules files (`30d`)."""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"), (float("nan"), "—"), (float("inf"), "—"), (0, "0 s"), (1e-9, "1 ns"), (5e-7, "500 ns"),
        (0.000_999_6, "1 ms"), (0.0124, "12.4 ms"), (0.9996, "1 s"), (1.5, "1.5 s"), (59.97, "1 min"), (60, "1 min"),
        (90, "1.5 min"), (3599, "1 h"), (3600, "1 h"), (21_600, "6 h"), (86_399, "1 d"), (100_000, "1.16 d"),
        (180_000, "2.08 d"), (30 * 86_400, "30 d"), (2e9, "23,148 d"), (-90, "-1.5 min"),
    ],
)  # fmt: skip
def test_a_duration_takes_the_largest_unit_that_it_fills(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(1e-9, 1e9))
def test_a_duration_is_told_to_three_digits_and_never_with_an_exponent(seconds: float) -> None:
    figure, unit = duration(seconds).split(" ")
    assert "e" not in figure
    assert float(figure.replace(",", "")) * dict(UNITS)[unit] == pytest.approx(seconds, rel=0.0051)


def test_a_moment_that_is_ahead_of_us_is_just_now() -> None:
    assert [ago(-5), ago(0.4), ago(90)] == ["just now", "just now", "1.5 min ago"]


def test_nobody_else_writes_a_unit_of_time_behind_a_figure() -> None:
    found = []
    for file in WRITERS:
        if file.name in INTERPRETED_ELSEWHERE:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found += [
                    f"{file.relative_to(ROOT)}:{node.lineno}"
                    for value, text in pairwise(node.values)
                    if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant)
                    if UNIT_AFTER_FIGURE.match(str(text.value))
                ]
    assert found == []


def test_a_page_a_table_and_an_alert_tell_one_duration_alike() -> None:
    from plugwarden_collector.command import doctor
    from plugwarden_collector.cycle import alerts
    from plugwarden_collector.health import conditions
    from plugwarden_dashboards import words

    assert {module.__dict__["duration"] for module in (doctor, alerts, conditions, words)} == {duration}
    assert duration(timedelta(hours=50).total_seconds()) == "2.08 d"
