"""What every engine of telemetry promises (`store.telemetry`): each test asks through the port alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta

import pytest
from plugwarden_collector.errors import NotFoundError, QueryCancelledError, QueryError
from plugwarden_collector.judge.arrivals import Wanted
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store import Telemetry
from plugwarden_collector.store.telemetry import Query
from plugwarden_collector.store.traces import Trace, TraceFilter
from plugwarden_collector.store.upkeep import Keep

from .conftest import Engine
from .requests import (
    AT,
    DAY,
    FAILS,
    HOUR,
    NOTE,
    SLOW,
    answer,
    append,
    bad,
    call,
    catch_up,
    counted,
    points,
)

# -- ingest ---------------------------------------------------------------------------------------------------------------


def test_a_token_counts_once_also_after_a_restart(engine: Engine) -> None:
    body = call(engine.telemetry)
    assert append(engine.telemetry, Signal.TRACES, body) is False
    engine.reopen()
    assert append(engine.telemetry, Signal.TRACES, body) is False
    catch_up(engine.telemetry)
    assert counted(engine.telemetry, 300.0) == {"csv": [bad(1, 0)]}


def test_what_is_acknowledged_is_in_every_answer_once_caught_up(telemetry: Telemetry) -> None:
    call(telemetry, outcome="error")
    assert not telemetry.ingest.caught_up
    catch_up(telemetry)
    since, until = AT - HOUR, AT
    assert counted(telemetry, 60.0, 3600.0, 2 * 86_400.0) == {"csv": [bad(1, 1)] * 3}
    assert [item.calls for item in telemetry.judging.versions(since, until)] == [1]
    assert [item.calls for item in telemetry.pages.plugins(since, until)] == [1]
    assert json.loads(telemetry.pages.fleet_series(since, until, 60.0).json)[0]["failed"] == 1
    assert telemetry.condition.newest_at() == telemetry.condition.oldest_at() == AT
    assert answer(telemetry, "select sum(calls)::bigint as calls from plugin_calls").to_pylist() == [{"calls": 1}]


def test_a_store_that_was_not_caught_up_counts_after_a_restart(engine: Engine) -> None:
    call(engine.telemetry)
    engine.reopen()
    catch_up(engine.telemetry)
    assert counted(engine.telemetry, 300.0) == {"csv": [bad(1, 0)]}


# -- queries --------------------------------------------------------------------------------------------------------------


def test_a_statement_reads_the_views_with_values_of_its_own(telemetry: Telemetry) -> None:
    for plugin in ("csv", "'; drop table spans; --"):
        call(telemetry, plugin)
    catch_up(telemetry)
    rows = answer(
        telemetry, "select plugin_id from spans where plugin_id = $name", parameters={"name": "'; drop table spans; --"}
    )
    assert rows.num_rows == 1
    assert answer(telemetry, "select count(*) as n from spans").to_pylist() == [{"n": 2}]


def test_an_answer_ends_at_its_limits(telemetry: Telemetry) -> None:
    stream = telemetry.queries.start(Query("select * from range(1000) as t(n)", limit=10))
    try:
        stream.open()
        assert sum(piece.rows for piece in stream) == 10
        assert (stream.rows, stream.truncated) == (10, "rows")
    finally:
        stream.close()


@pytest.mark.parametrize(
    "sql", ["delete from spans", "selec 1", "select * from requests", "select * from '/etc/passwd'"]
)
def test_a_statement_that_is_wrong_or_not_allowed_is_refused(telemetry: Telemetry, sql: str) -> None:
    with pytest.raises(QueryError):
        answer(telemetry, sql)


def test_a_cancelled_statement_ends(telemetry: Telemetry) -> None:
    telemetry.queries.warm()
    stream = telemetry.queries.start(Query("select 1"))
    try:
        stream.cancel()
        with pytest.raises(QueryCancelledError):
            stream.open()
    finally:
        stream.close()
    assert all(count >= 0 for count in telemetry.queries.ended().values())


# -- upkeep ---------------------------------------------------------------------------------------------------------------


def test_what_is_old_is_let_go_and_the_rest_stays(telemetry: Telemetry) -> None:
    call(telemetry, "old", AT - timedelta(days=9), came=AT - timedelta(days=9))
    call(telemetry, "new")
    catch_up(telemetry)
    telemetry.upkeep.retain(Keep(), AT)
    assert [row["plugin_id"] for row in answer(telemetry, "select plugin_id from spans").to_pylist()] == ["new"]
    assert [item.plugin_id for item in telemetry.pages.plugins(AT - timedelta(days=10), AT)] == ["new", "old"]
    told = telemetry.upkeep.retained()
    assert (told.rounds, told.failures, told.rows["spans"], told.refused) == (1, 0, 1, {})


def test_a_deletion_that_is_too_large_waits_for_a_person(telemetry: Telemetry) -> None:
    for number in range(3):
        at = AT - timedelta(days=9, seconds=number)
        call(telemetry, at=at, came=at)
    call(telemetry)
    catch_up(telemetry)
    keep = Keep(max_share_ratio=0.5)
    telemetry.upkeep.retain(keep, AT)
    waiting = telemetry.upkeep.retained().refused
    assert (waiting["spans"].rows, waiting["spans"].share_ratio) == (3, 0.75)
    telemetry.upkeep.allow(waiting, NOTE)
    telemetry.upkeep.retain(keep, AT)
    assert telemetry.upkeep.retained().refused == {}
    assert answer(telemetry, "select count(*) as n from spans").to_pylist() == [{"n": 1}]
    assert answer(telemetry, "select count(*) as n from decisions where kind = 'noted'").to_pylist() == [{"n": 1}]


def set_one_aside(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    broken = engine.fail_counting(monkeypatch)
    broken.add("bad")
    append(engine.telemetry, Signal.METRICS, points("bad", "good"))
    catch_up(engine.telemetry)
    return broken


def decisions(telemetry: Telemetry) -> Iterable[str]:
    return [row["kind"] for row in answer(telemetry, "select kind from decisions order by sequence").to_pylist()]


def test_what_cannot_be_counted_is_set_aside_and_counted_when_it_can_be(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry, broken = engine.telemetry, set_one_aside(engine, monkeypatch)
    (entry,) = telemetry.upkeep.set_aside()
    assert (entry.what, entry.rows, entry.plugin_id, entry.service_name, entry.kept) == (
        "metric_points",
        1,
        "bad",
        "host",
        True,
    )
    assert counted(telemetry, 60.0) == {"good": [bad(10, 0)]}
    assert telemetry.condition.health().set_aside_rows == 1
    broken.clear()
    telemetry.upkeep.count_again(entry.id, AT, NOTE)
    assert telemetry.upkeep.set_aside() == []
    assert counted(telemetry, 60.0) == {"good": [bad(10, 0)], "bad": [bad(10, 0)]}
    assert decisions(telemetry) == ["noted"]


def test_what_is_given_up_is_never_counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    set_one_aside(engine, monkeypatch)
    (entry,) = engine.telemetry.upkeep.set_aside()
    engine.telemetry.upkeep.give_up(entry.id, NOTE)
    engine.reopen()
    assert engine.telemetry.upkeep.set_aside() == []
    assert counted(engine.telemetry, 60.0) == {"good": [bad(10, 0)]}
    assert decisions(engine.telemetry) == ["noted"]


def test_an_act_on_what_is_not_there_leaves_no_entry(telemetry: Telemetry) -> None:
    with pytest.raises(NotFoundError):
        telemetry.upkeep.count_again("b-none", AT, NOTE)
    with pytest.raises(NotFoundError):
        telemetry.upkeep.give_up("b-none", NOTE)
    assert decisions(telemetry) == []


# -- condition ------------------------------------------------------------------------------------------------------------


def test_a_store_says_how_it_is(telemetry: Telemetry) -> None:
    body = call(telemetry)
    append(telemetry, Signal.TRACES, body)
    health = telemetry.condition.health()
    assert (health.writing, health.queued_requests, health.duplicates, health.failed_requests) == (True, 0, 1, 0)
    assert health.stored_rows["spans"] == 1
    assert health.uncounted_rows > 0
    catch_up(telemetry)
    assert telemetry.condition.health().uncounted_rows == 0
    size = telemetry.condition.size()
    assert size.total_bytes == size.file_bytes + size.log_bytes > 0
    assert telemetry.condition.rows()["spans"] == 1
    assert all(count >= 0 for count in telemetry.condition.memory_bytes().values())
    names = telemetry.condition.names(AT - HOUR)
    assert (names.names, names.calls_beyond, names.services_beyond, names.words_beyond) == (1, 0, [], [])
    assert telemetry.condition.can.names >= 1


def test_an_empty_store_answers_everything_with_nothing(telemetry: Telemetry) -> None:
    since = AT - DAY
    catch_up(telemetry)
    assert telemetry.judging.windows([FAILS, SLOW], [60.0, 3600.0, 2_592_000.0], AT, AT).get("fails", {}) == {}
    assert telemetry.judging.windows([], [60.0], AT, AT) == {}
    assert telemetry.judging.windows([FAILS], [], AT, AT) == {}
    assert telemetry.judging.versions(since, AT) == telemetry.judging.waits((since, AT), (AT, AT)) == []
    assert telemetry.judging.cells([Wanted("csv", since)], (), AT) == []
    assert telemetry.judging.errors("csv", "1", since, AT) == telemetry.judging.ways_back("csv", since, AT) == []
    pages = telemetry.pages
    assert pages.plugins(since, AT) == telemetry.planning.demand(since, AT) == []
    assert json.loads(pages.fleet_series(since, AT, 60.0).json) == []
    assert pages.plugin("csv", since, AT) is None
    assert pages.operations("csv", since, AT) == pages.gate("csv", since, AT) == pages.errors("csv", since, AT) == []
    assert pages.running(["csv"], AT) == []
    assert pages.series("csv", since, AT, 60.0) == pages.heatmap("csv", since, AT, 1.0) == []
    assert telemetry.traces.find(1) == Trace([], [], 0)
    assert telemetry.traces.search(TraceFilter(), since, AT, 10) == telemetry.traces.failing("csv", since, AT, 5) == []
    assert telemetry.upkeep.set_aside() == []
    telemetry.upkeep.retain(Keep(), AT)
    assert telemetry.condition.newest_at() is telemetry.condition.oldest_at() is None
