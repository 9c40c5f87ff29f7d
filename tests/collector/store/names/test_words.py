"""Words that calls are told apart by: error types, downstreams, outcomes and error sources, so many of a plugin and no more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract import OVERFLOW
from plugwarden_collector.clock import utc_now
from plugwarden_collector.control.observe import observe
from plugwarden_collector.judge.arrivals import Wanted
from plugwarden_collector.receive.decode import native
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.rules.file import load_rules
from plugwarden_collector.store import statement
from plugwarden_collector.store.duckdb.names import words

from tests.collector.conftest import RULES, Running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.rolled_store import AT, Store, ns

MANY = 100_000
FEW = 2_000
"""More than any bound, where it does not matter how many more."""


@pytest.fixture(params=["c", "python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in."""
    if request.param == "python":
        monkeypatch.setattr(native, "_library", lambda: None)
    elif not native.available():
        pytest.skip("the decoder in C is not built here")
    return str(request.param)


def metrics(service: str = "a") -> tuple[Any, Any]:
    """A request and its scope."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    group = message.resource_metrics.add()
    for key, value in (("service.name", service), ("service.instance.id", f"{service}-1")):
        group.resource.attributes.add(key=key).value.string_value = value
    return message, group.scope_metrics.add()


def counted_in_metrics(
    errors: list[str], *, plugin: str = "geo", service: str = "a", at: Any = AT, foreign: bool = False, **more: str
) -> Any:
    """One failed call of each error type; `foreign`: as an SDK counts it that is not ours, in milliseconds."""
    message, scope = metrics(service)
    metric = scope.metrics.add(name="plugin.invocation.duration", unit="ms" if foreign else "s")
    metric.exponential_histogram.aggregation_temporality = 1
    for error in errors:
        point = metric.exponential_histogram.data_points.add(
            start_time_unix_nano=ns(at - timedelta(seconds=1)), time_unix_nano=ns(at), count=1, sum=1.0, scale=4
        )
        point.positive.offset = 0
        point.positive.bucket_counts.append(1)
        attributes = {"plugin.id": plugin, "plugin.version": "1", "plugin.operation": "op", "plugin.outcome": "error",
                      "plugin.error.source": "plugin", "error.type": error, **more}  # fmt: skip
        for key, value in attributes.items():
            point.attributes.add(key=key).value.string_value = value
    return message


def waited(downstreams: list[str], *, plugin: str = "geo", service: str = "a", outcome: str = "success") -> Any:
    """One wait of a second for each downstream."""
    message, scope = metrics(service)
    metric = scope.metrics.add(name="plugin.downstream.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = 1
    for name in downstreams:
        point = metric.exponential_histogram.data_points.add(
            start_time_unix_nano=ns(AT - timedelta(seconds=1)), time_unix_nano=ns(AT), count=1, sum=1.0, scale=4
        )
        point.positive.bucket_counts.append(1)
        for key, value in (("plugin.id", plugin), ("plugin.version", "1"), ("plugin.downstream", name),
                           ("plugin.outcome", outcome)):  # fmt: skip
            point.attributes.add(key=key).value.string_value = value
    return message


def told_in_spans(errors: list[str], *, plugin: str = "geo", service: str = "a", **more: str) -> Any:
    """One failed call of each error type, as spans of somebody who counts none in metrics."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    scope = group.scope_spans.add()
    for number, error in enumerate(errors):
        span = scope.spans.add(trace_id=b"t" * 16, span_id=(number + 1).to_bytes(8), name="op")
        span.start_time_unix_nano = span.end_time_unix_nano = ns(AT)
        span.status.code = 2
        attributes = {"plugin.id": plugin, "plugin.version": "1", "error.type": error, **more}
        for key, value in attributes.items():
            span.attributes.add(key=key).value.string_value = value
    return message


def by(store: Store, column: str, plugin: str = "geo") -> dict[str, int]:
    """Calls by a column."""
    rows = store.database.cursor().execute(
        f"select {column}, sum(calls)::bigint from plugin_calls where plugin_id = ? group by all", [plugin]
    )
    return dict(rows.fetchall())


def one(store: Store, sql: str) -> Any:
    ((value,),) = store.database.cursor().execute(sql).fetchall()
    return value


def flood(count: int) -> list[str]:
    return [f"Error{number:06}" for number in range(count)]


# -- a flood ---------------------------------------------------------------------------------------------------------------


def test_a_hundred_thousand_error_types_and_downstreams_take_a_few_rows_and_keys(store: Store) -> None:
    store.send(Signal.METRICS, counted_in_metrics(["TypeError", "KeyError"], plugin="csv"))
    store.send(Signal.METRICS, waited(["db"], plugin="csv"))
    for first in range(0, MANY, 20_000):
        part = flood(MANY)[first : first + 20_000]
        store.send(Signal.METRICS, counted_in_metrics(part))
        store.send(Signal.METRICS, waited(part))
    store.roll()
    memory = store.fleet.memory
    with memory.lock:
        memory.calls(AT - timedelta(minutes=5), AT + timedelta(minutes=1))
    assert one(store, "select count(*) from call_seconds where plugin_id = 'geo'") <= words.MAX_WORDS_OF_PLUGIN + 5
    assert one(store, "select count(*) from wait_seconds where plugin_id = 'geo'") <= words.MAX_WORDS_OF_PLUGIN + 5
    assert one(store, "select count(*) from known_words") <= 2 * words.MAX_WORDS_OF_PLUGIN + 3
    assert by(store, "error_type", "csv") == {"TypeError": 1, "KeyError": 1}
    found = by(store, "error_type")
    assert sum(found.values()) == MANY
    assert found[OVERFLOW] == MANY - words.MAX_WORDS_OF_PLUGIN
    assert one(store, "select sum(waits)::bigint from wait_seconds where plugin_id = 'geo'") == MANY
    assert one(store, "select sum(waits)::bigint from wait_seconds where plugin_id = 'csv' and downstream = 'db'") == 1


def test_both_ways_in_bound_the_same(store: Store, way: str) -> None:
    store.send(Signal.METRICS, counted_in_metrics(flood(FEW)))
    store.send(Signal.METRICS, counted_in_metrics(flood(FEW), foreign=True, at=AT + timedelta(seconds=1)))
    store.send(Signal.TRACES, told_in_spans(flood(FEW), service="b"))
    store.roll()
    found = by(store, "error_type")
    assert sum(found.values()) == 3 * FEW
    assert len(found) <= 2 * words.MAX_WORDS_OF_PLUGIN + 1  # of each service
    assert one(store, "select count(*) from call_seconds") <= 3 * (words.MAX_WORDS_OF_PLUGIN + 1)


def test_raw_rows_keep_every_word(store: Store) -> None:
    store.send(Signal.METRICS, counted_in_metrics(flood(FEW)))
    store.roll()
    assert one(store, "select count(distinct error_type) from metric_points") == FEW


def test_one_service_takes_no_word_from_another_and_one_plugin_none_from_another(store: Store) -> None:
    store.send(Signal.METRICS, counted_in_metrics(flood(FEW)))
    store.roll()
    store.send(Signal.METRICS, counted_in_metrics(["KeyError"], service="b"))
    store.send(Signal.METRICS, counted_in_metrics(["KeyError"], plugin="csv"))
    store.roll()
    assert by(store, "error_type")["KeyError"] == 1
    assert by(store, "error_type", "csv") == {"KeyError": 1}


def test_words_that_were_first_keep_their_place_over_a_restart(store: Store, tmp_path: Path) -> None:
    store.send(Signal.METRICS, counted_in_metrics(["KeyError"]))
    store.send(Signal.METRICS, waited(["db"]))
    store.roll()
    store.send(Signal.METRICS, counted_in_metrics(flood(FEW)))
    store.send(Signal.METRICS, waited(flood(FEW)))
    store.roll()
    kept = set(by(store, "error_type"))
    store.close()
    again = Store(tmp_path)
    try:
        again.send(Signal.METRICS, counted_in_metrics(["KeyError", *reversed(flood(FEW))]))
        again.send(Signal.METRICS, waited(["db", *reversed(flood(FEW))]))
        again.roll()
        assert set(by(again, "error_type")) == kept
        assert by(again, "error_type")["KeyError"] == 2
        assert one(again, "select sum(waits)::bigint from wait_seconds where downstream = 'db'") == 2
    finally:
        again.close()


def test_a_word_that_is_not_used_gives_its_place_to_another(store: Store) -> None:
    store.send(Signal.METRICS, counted_in_metrics(flood(words.MAX_WORDS_OF_PLUGIN)))
    store.roll()
    later = AT + timedelta(hours=26)
    store.send(Signal.METRICS, counted_in_metrics(["KeyError"], at=later), later)
    store.roll(later)
    assert by(store, "error_type")["KeyError"] == 1


# -- words that the contract closes ----------------------------------------------------------------------------------------


def test_outcomes_and_error_sources_that_the_contract_does_not_know_are_one_each(store: Store) -> None:
    for number in range(50):
        odd = {"plugin.outcome": f"odd {number}", "plugin.error.source": f"who {number}"}
        store.send(Signal.METRICS, counted_in_metrics(["KeyError"], **odd))
        store.send(Signal.TRACES, told_in_spans(["KeyError"], service="b", **odd))
        store.send(Signal.METRICS, waited(["db"], outcome=f"odd {number}"))
    store.send(Signal.METRICS, counted_in_metrics(["KeyError"]))
    store.roll()
    assert by(store, "outcome") == {"error": 1, OVERFLOW: 100}
    assert by(store, "error_source") == {"plugin": 1, OVERFLOW: 100}
    waits = store.database.cursor().execute("select outcome, sum(waits)::bigint from wait_seconds group by all")
    assert waits.fetchall() == [(OVERFLOW, 50)]


# -- what is done with it --------------------------------------------------------------------------------------------------


def test_what_stands_for_many_downstreams_is_no_cause_that_plugins_share(store: Store) -> None:
    for plugin in ("geo", "csv"):
        store.send(Signal.METRICS, counted_in_metrics(["KeyError"], plugin=plugin))
        store.send(Signal.METRICS, waited(flood(FEW), plugin=plugin))
    store.roll()
    waits = store.telemetry.judging.waits(
        (AT - timedelta(hours=1), AT - timedelta(minutes=1)), (AT - timedelta(minutes=1), AT)
    )
    assert waits
    assert not any(wait.downstream == OVERFLOW for wait in waits)


def test_the_words_of_the_error_page_and_of_the_judges_downstreams_all_have_a_place() -> None:
    """The bound's reason: what a page lists and what the judge compares must not be cut by it."""
    assert f"limit {words.MAX_WORDS_OF_PLUGIN}" in statement("error_types").sql
    assert "<= 20" in statement("downstream_waits").sql
    assert words.MAX_WORDS_OF_PLUGIN > 20


def test_health_doctor_and_metrics_name_the_plugin(collector: Running) -> None:
    writer = collector.collector.writer
    message = counted_in_metrics(flood(FEW), service="noisy", at=utc_now())
    batch = read(Signal.METRICS, message.SerializeToString())
    assert writer.submit(1, batch.tables, batch.nbytes).result(10)
    collector.api.query("select 1")  # counts first
    collector.collector.health.look()
    (condition,) = [item for item in collector.api.get("health")["conditions"] if item["name"] == "too_many_words"]
    assert condition["state"] == "firing"
    assert "error types of 'geo' from 'noisy'" in condition["summary"]
    text = httpx2.get(f"{collector.url}/metrics").text
    assert f"plugwarden_calls_beyond_words_total {FEW - words.MAX_WORDS_OF_PLUGIN}.0" in text
    assert f"plugwarden_words_told_apart {words.MAX_WORDS_OF_PLUGIN}.0" in text
    answer = plugwarden("doctor", url=collector.url)
    assert answer.returncode == 1
    assert "more error types or downstreams than are told apart" in answer.stdout


# -- whose failures are bad ------------------------------------------------------------------------------------------------


def test_a_callers_mistake_is_in_no_total_and_never_bad(store: Store, tmp_path: Path) -> None:
    """It says nothing of the plugin (ADR 0057); in the windows, the budget and the cells alike."""
    for source in ("plugin", "caller", "caller", "caller", "downstream", "host", "quota"):
        store.send(Signal.METRICS, counted_in_metrics(["KeyError"], **{"plugin.error.source": source}))
    for outcome in ("rejected", "cancelled"):
        store.send(Signal.METRICS, counted_in_metrics(["KeyError"], **{"plugin.outcome": outcome}))
    store.roll()
    (tmp_path / "rules.toml").write_text(RULES)
    rules = load_rules(tmp_path / "rules.toml")
    at = AT + timedelta(seconds=1)
    seen = observe(store.telemetry.judging, rules, at, since=AT - timedelta(hours=1), budgets=True)
    windows = seen.windows["availability"]["geo", "1"]
    assert {(counts.total, counts.failed) for counts in windows.values()} == {(4, 1)}
    budget = (seen.periods or {})["availability"]["geo", "1"]
    assert (budget.total, budget.failed) == (4, 1)
    cells = store.telemetry.judging.cells([Wanted("geo", at - timedelta(minutes=5))], (), at)
    assert (sum(cell.counts.total for cell in cells), sum(cell.counts.failed for cell in cells)) == (4, 1)
    folded = AT + timedelta(hours=3)
    store.roll(folded)
    rows = store.database.fetch(
        statement("hour_counts"), {"first": AT - timedelta(hours=1), "before": folded, "operations": None}
    )
    assert [(row["total"], row["bad"]) for row in rows] == [(4, 1)]
