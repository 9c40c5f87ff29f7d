"""What a failure is and where histograms end stands in the contract, and SQL takes it from there."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from plugwarden.contract import ErrorSource, Outcome, RejectionReason, name_fault
from plugwarden.contract.histogram import MAX_INDEX, MIN_INDEX, SCALE
from plugwarden_collector.store.duckdb.calls.cells import BUCKETS, ZERO, Keys
from plugwarden_collector.store.duckdb.engine import connect
from plugwarden_collector.store.duckdb.sql_words import written_out

WINGS = resources.files("plugwarden_collector.store.duckdb") / "sql"
FILES = {file.name: file.read_text("utf-8") for wing in WINGS.iterdir() for file in wing.iterdir()}
OF_ITS_OWN = {"plugin_gate.sql": "a term called timeout", "downstream_waits.sql": "waits, which are no calls"}
OUTCOMES = re.compile(r"'(rejected|timeout|cancelled)'(?! ?:)|<> 'success'")
LIMITS = re.compile(
    rf"(?<![\w.])({MIN_INDEX}|{MAX_INDEX}|{MAX_INDEX - MIN_INDEX + 1}|16\.0)(?![\w.])|scale = {SCALE}\b"
)


@pytest.mark.parametrize("name", sorted(set(FILES) - set(OF_ITS_OWN)))
def test_no_statement_has_outcomes_or_limits_of_its_own(name: str) -> None:
    sql = re.sub(r"--.*", "", FILES[name]).replace("'rejected': rejected", "")
    assert OUTCOMES.findall(sql) == []
    assert LIMITS.findall(sql) == []


@pytest.mark.parametrize("source", [*ErrorSource, ""])
@pytest.mark.parametrize("outcome", [*Outcome, "_OTHER"])
def test_sql_and_memory_agree_on_every_outcome(outcome: str, source: str) -> None:
    words = (
        "contract.failed(o)",
        "contract.at_fault(o, s)",
        "contract.refused(o)",
        "contract.ran(o)",
        "contract.ended(o, s)",
    )
    sql = written_out(f"select {', '.join(words)} from (select $outcome as o, $source as s)")
    with connect() as database:
        row = database.execute(sql, {"outcome": str(outcome), "source": str(source)}).fetchall()[0]
    keys = Keys()
    keys.number(("csv", "1", str(outcome), str(source)))
    in_memory = [bool(column[0]) for column in keys.arrays()[1:]]
    assert [row[0], row[1], row[2]] == in_memory
    assert row[3] is not row[2]
    assert row[4] == (outcome in {"success", "error", "timeout"} and source != "caller")


@pytest.mark.parametrize("error_type", ["", "ValueError", *RejectionReason])
@pytest.mark.parametrize("source", ["", "plugin", "downstream", "caller"])
@pytest.mark.parametrize("outcome", [*Outcome])
def test_an_objective_is_of_calls_that_ended_without_a_mistake_of_their_caller_or_that_the_plugins_breaker_refused(
    outcome: Outcome, source: str, error_type: str
) -> None:
    words = (
        "contract.judged(o, s, t)",
        "contract.bad(o, s, t)",
        "contract.cut_off(o, s, t)",
        "t in (contract.reasons)",
    )
    sql = written_out(f"select {', '.join(words)} from (select $outcome as o, $source as s, $type as t)")
    with connect() as database:
        told = {"outcome": str(outcome), "source": source, "type": str(error_type)}
        judged, bad, cut_off, reason = database.execute(sql, told).fetchall()[0]
    assert cut_off == (outcome is Outcome.REJECTED and source == "plugin" and error_type == "circuit_open")
    assert judged == ((outcome.ended and source != "caller") or cut_off)
    assert bad == ((outcome.failed and source == "plugin") or cut_off)
    assert reason == (error_type in [*RejectionReason])


def test_a_word_that_there_is_not_is_no_statement() -> None:
    with pytest.raises(KeyError):
        written_out("select contract.nobody")


def test_the_memory_of_calls_has_a_place_for_every_bucket() -> None:
    assert -ZERO <= MIN_INDEX
    assert MAX_INDEX < BUCKETS - ZERO


@pytest.mark.parametrize("code", [*range(0x100), 0x61C, *range(0x2000, 0x2070)])
def test_sql_finds_the_signs_that_no_name_has(code: int) -> None:
    sign = chr(code)
    if code == 0:
        return  # DuckDB's patterns see it as the end of a text; the door refuses such names
    with connect() as database:
        found = database.execute(written_out("select regexp_matches($name, contract.odd_signs)"), {"name": f"a{sign}b"})
        assert found.fetchall() == [(name_fault("plugin", f"a{sign}b") is not None,)]
