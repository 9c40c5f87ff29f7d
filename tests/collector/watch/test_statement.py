"""Rows of a statement, made into samples: hostile labels, values that are none, and too many of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from plugwarden_collector.errors import WatchError
from plugwarden_collector.rules.alert_rule import AlertKind, AlertRule, Limit
from plugwarden_collector.watch.statement import MAX_ROWS, column_fault, samples_of

RULE = AlertRule("orders wait", AlertKind.SQL, limit=Limit(above=100, below=-1))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["plugin"], "gives no column value; name the number"),
        (["value", "value"], "gives the column value twice"),
        (["value", "count(*)"], "no name of a label"),
        (["value", "severity"], "a meaning of its own"),
        (["value", "owner"], "a meaning of its own"),
        (["value", "incident"], "a meaning of its own"),
    ],
)
def test_columns_that_cannot_be_labels_are_named(columns: list[str], said: str) -> None:
    assert said in (column_fault(columns) or "")
    assert column_fault(["value", "plugin", "version", "queue"]) is None


@pytest.mark.parametrize(
    ("value", "met"),
    [
        (101, True),
        (100, False),
        (-2.5, True),
        (Decimal("100.5"), True),
        (None, None),
        (float("nan"), None),
        (float("inf"), True),
    ],
)
def test_a_value_is_beyond_a_limit_or_not_or_there_is_none(value: object, met: bool | None) -> None:
    (sample,) = samples_of(RULE, [{"plugin": "csv", "value": value}])
    assert sample.met is met


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"value": "many"}], "'many' as value, which is no number"),
        ([{"value": True}], "'True' as value"),
        ([{"value": 1, "plugin": "csv"}, {"value": 2, "plugin": "csv"}], "two rows plugin=csv"),
        ([{"value": 1, "plugin": None}, {"value": 2, "plugin": ""}], "two rows without labels"),
        ([{"value": 1, "n": number} for number in range(MAX_ROWS + 1)], "more than 100 rows"),
    ],
)
def test_what_cannot_be_looked_at_is_said(rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(WatchError, match=said):
        samples_of(RULE, rows)


def test_long_labels_are_cut_and_hostile_ones_stay_what_they_are() -> None:
    (sample,) = samples_of(RULE, [{"value": 1, "plugin": "x" * 500, "queue": "\x1b[31m<b>"}])
    assert sample.labels == {"plugin": "x" * 200, "queue": "\x1b[31m<b>"}
