"""Values that SQL, JSON or CSV cannot take or give: the right value or an error that says what is wrong, and never a fault of ours."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx2
import pytest
from plugwarden_collector.api.routes.query import ARROW

from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden

GIVEN = [
    2**63, 2**64, 2**127 - 1, 2**127, -(2**127), -(2**127) - 1, 2**128 - 1, 2**128, 10**400, 1e308, -0.0, "", "x" * 100_000, "\x00",
    "\u202e", "\U0001f50c", None, True, [], [1, "a"], [1, None], [[1], [2]], [[[[1]]]], {"a": 1}, {}, {"a": {"b": [1, 2**64]}}, [{"a": 1}],
    [2**127], [1, 2**64], [True, 1],
]  # fmt: skip
"""Parameters, as JSON holds them."""
ODD_JSON = ["NaN", "Infinity", "-Infinity", "1e400", '"\\ud800"', "[" * 3000 + "]" * 3000]
"""Parameters as some write them who do not write JSON, or deeply nested."""
MADE = [
    "170141183460469231731687303715884105727::hugeint", "-170141183460469231731687303715884105728::hugeint",
    "340282366920938463463374607431768211455::uhugeint", "'nan'::float", "'-inf'::double", "interval '-3 months 4 days'",
    "interval '178000000 years'", "date '-5877641-06-25'", "date '5877642-06-23'", "'infinity'::date", "'-infinity'::timestamp",
    "timestamp '-290308-12-22 00:00:00'", "timestamp '290309-12-22 00:00:00'", "timestamp_s '290000-01-01'", "timestamp_ns '1677-09-22'",
    "timestamptz '0044-03-15 (BC) 00:00:00+00'", "timetz '23:59:59+15:59'", "time '24:00:00'", "'\\x00\\xff'::blob", "'10101'::bit",
    "''::bit",
    "map {1: 'a', 2: 'b'}", "map {[1]: {'a': 1}}", "map {}", "union_value(num := 1)", "'a'::enum('a', 'b')",
    "{'a': {'b': [map {'c': union_value(k := 1)}]}}", "[[[[[[1]]]]]]", "[]", "null", "uuid '00000000-0000-0000-0000-000000000001'",
    "[1, 2, 3]::integer[3]", "99999999999999999999999999999999999999::decimal(38, 0)",
    "0.00000000000000000000000000000000000001::decimal(38, 38)",
    "'{\"a\": [1, null]}'::json", "chr(0)", "18446744073709551615::ubigint", "row(1, 'a')", "[union_value(a := 1)]",
    "{'when': 'infinity'::timestamp}", "[date '-5877641-06-25']", "'12345678901234567890123456789012345678901234567890'::bignum",
    "[1::hugeint, 170141183460469231731687303715884105727]", "[interval '1 day']", "[timetz '10:00:00+02']", "['101'::bit]",
]  # fmt: skip
"""Expressions whose values few formats have."""


def post(collector: Running, text: str, accept: str = "application/json") -> httpx2.Response:
    headers = {"content-type": "application/json", "accept": accept}
    return httpx2.post(f"{collector.url}/api/v1/query", content=text.encode(), headers=headers, timeout=60)


@pytest.mark.parametrize("accept", ["application/json", ARROW])
def test_no_parameter_is_a_fault_of_ours_and_what_is_refused_is_named(shared: Running, accept: str) -> None:
    wrong = {}
    texts = {json.dumps(value): json.dumps(value) for value in GIVEN} | {text[:20]: text for text in ODD_JSON}
    for name, text in texts.items():
        for body, called in (
            (f'{{"sql": "select ? as v", "params": [{text}]}}', ("params", "parameter 1", "body")),
            (f'{{"sql": "select $value as v", "params": {{"value": {text}}}}}', ("params", "value", "body")),
        ):
            answer = post(shared, body, accept)
            if answer.status_code == 200:
                continue
            if answer.status_code not in (400, 422) or not any(word in answer.json()["detail"] for word in called):
                wrong[name[:40]] = f"{answer.status_code} {answer.text[:200]}"
    assert wrong == {}


def test_integers_that_sql_can_hold_come_back_as_they_went(shared: Running) -> None:
    for value in (2**63, 2**64, 2**127 - 1, -(2**127), 2**127, 2**128 - 1):
        answer = post(shared, json.dumps({"sql": "select ? as v", "params": [value]}))
        assert (answer.status_code, answer.json().get("rows")) == (200, [[str(value)]]), answer.text


def test_integers_that_sql_cannot_hold_are_refused_by_their_name(shared: Running) -> None:
    for value in (2**128, -(2**127) - 1, 10**400):
        answer = post(shared, json.dumps({"sql": "select $big as v", "params": {"big": value}}))
        assert answer.status_code in (400, 422)
        assert "big" in answer.json()["detail"]
        assert len(answer.json()["detail"]) < 500
        answer = post(shared, json.dumps({"sql": "select ?, ?", "params": [1, [value]]}))
        assert answer.status_code in (400, 422)
        assert "parameter 2" in answer.json()["detail"]


@pytest.mark.parametrize("accept", ["application/json", ARROW])
def test_no_value_is_a_fault_of_ours(shared: Running, accept: str) -> None:
    wrong = {}
    for expression in MADE:
        answer = post(shared, json.dumps({"sql": f"select {expression} as v"}), accept)
        if answer.status_code not in (200, 400):
            wrong[expression] = f"{answer.status_code} {answer.text[:200]}"
        if accept == "application/json" and answer.status_code == 200:
            json.loads(answer.text, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    assert wrong == {}


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]], ids=["table", "json", "csv"])
def test_the_command_gives_every_value_or_says_which_it_cannot(shared: Running, form: list[str]) -> None:
    good = [item for item in MADE if post(shared, json.dumps({"sql": f"select {item} as v"})).status_code == 200]
    assert len(good) > len(MADE) * 2 // 3
    columns = ", ".join(f"{item} as v{number}" for number, item in enumerate(good))
    answer = plugwarden("query", f"select {columns}", *form, url=shared.url)
    assert (answer.returncode, answer.stderr) == (0, "")
    if form == ["--json"]:
        assert len(json.loads(answer.stdout)["rows"][0]) == len(good)
    if form == ["--csv"]:
        heading, row = csv.reader(io.StringIO(answer.stdout))
        assert (len(heading), len(row)) == (len(good), len(good))


def value_of(collector: Running, expression: str) -> Any:
    answer = post(collector, json.dumps({"sql": f"select {expression} as v"}))
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"][0][0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("170141183460469231731687303715884105727::hugeint", "170141183460469231731687303715884105727"),
        ("340282366920938463463374607431768211455::uhugeint", "340282366920938463463374607431768211455"),
        ("'nan'::double", None),
        ("'10101'::bit", "10101"),
        ("['101'::bit]", ["101"]),
        ("date '-0043-03-15'", "-0043-03-15"),
        ("map {1: 'a'}", {"1": "a"}),
        ("union_value(num := 1)", 1),
        ("[[[[[[1]]]]]]", [[[[[[1]]]]]]),
        ("'a'::enum('a', 'b')", "a"),
    ],
)
def test_what_can_be_told_in_json_is_told_right(shared: Running, expression: str, expected: Any) -> None:
    assert value_of(shared, expression) == expected
