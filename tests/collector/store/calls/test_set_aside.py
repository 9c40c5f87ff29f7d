"""Rows that cannot be counted: set aside and named, and everything else goes on as before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden_collector.errors import NotFoundError, StoreError
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.store import statement
from plugwarden_collector.store.duckdb.calls import counting as counting_module
from plugwarden_collector.store.duckdb.ledger.sealing import Sealing
from plugwarden_collector.store.duckdb.rows import fetch_rows

from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.rolled_store import AT, Store, ns
from tests.collector.support.uncountable import fail_counting


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "data")
    yield made
    made.close()


def points(*plugins: str, service: str = "host") -> dict[str, pa.Table]:
    """Ten calls of each plugin, as the door lets them in."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    metric = resource.scope_metrics.add().metrics.add(name="plugin.invocation.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = 1
    for plugin in plugins:
        point = metric.exponential_histogram.data_points.add(
            count=10, sum=0.1, max=0.02, scale=4, time_unix_nano=ns(AT), start_time_unix_nano=ns(AT) - 10**9
        )
        point.positive.offset = -100
        point.positive.bucket_counts.extend([10])
        for key, text in (("plugin.id", plugin), ("plugin.version", "1"), ("plugin.operation", "run")):
            point.attributes.add(key=key).value.string_value = text
    return dict(read(Signal.METRICS, message.SerializeToString(), now_ns=ns(AT)).tables)


@pytest.fixture
def uncountable(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Plugins at whose points counting fails."""
    return fail_counting(monkeypatch)


def submit(store: Store, tables: dict[str, pa.Table]) -> None:
    store.sent += 1
    assert store.writer.submit(store.sent, tables, 1000).result(10)


def aside(store: Store) -> list[dict[str, Any]]:
    return fetch_rows(store.database.cursor(), statement("list_set_aside").sql)


def called(store: Store) -> dict[str, int]:
    return {plugin: calls for (plugin, _, _), calls in store.calls().items()}


def test_one_bad_point_is_set_aside_and_the_rest_of_its_commit_counts(store: Store, uncountable: set[str]) -> None:
    uncountable.add("p17")
    names = [f"p{number}" for number in range(40)]
    submit(store, points(*names))
    store.roll()
    assert called(store) == dict.fromkeys(sorted({*names} - {"p17"}), 10)
    (entry,) = aside(store)
    assert (entry["what"], entry["rows"], entry["plugin_id"], entry["service_name"]) == (
        "metric_points",
        1,
        "p17",
        "host",
    )
    assert entry["kept"]
    assert entry["error"]


def test_what_is_set_aside_is_not_tried_again_and_later_commits_count_also_after_a_restart(
    tmp_path: Path, uncountable: set[str]
) -> None:
    uncountable.add("bad")
    store = Store(tmp_path / "data")
    submit(store, points("bad", "good"))
    store.roll()
    store.close()
    store = Store(tmp_path / "data")
    submit(store, points("good", "later"))
    before = store.writer.counting.set_aside_times
    store.roll()
    store.roll(AT + timedelta(hours=3))
    assert store.writer.counting.set_aside_times == before == 0
    assert len(aside(store)) == 1
    assert called(store) == {"good": 20, "later": 10}
    store.close()


def test_a_bad_commit_among_many_is_found_and_the_others_are_counted_together(
    store: Store, uncountable: set[str]
) -> None:
    uncountable.add("p7")
    for number in range(20):
        submit(store, points(f"p{number}", "all"))
    store.roll()
    assert called(store) == {"all": 200, **{f"p{number}": 10 for number in range(20) if number != 7}}
    assert [entry["plugin_id"] for entry in aside(store)] == ["p7"]


def test_calls_at_which_folding_fails_do_not_end_the_folding_of_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(store, points("good", "bad"))
    store.roll()

    def again(connection: Any) -> None:
        for _ in range(2):
            connection.execute("insert into call_seconds select * from call_seconds where plugin_id = 'bad' limit 1")

    store.writer.run(again).result(10)

    def failing(work: Any) -> Any:
        def folded(connection: Any, *rest: Any) -> Any:
            rows = connection.execute("select count(*) from call_seconds where plugin_id = 'bad'").fetchall()
            if rows[0][0] > 2:  # two of these rows fit a sum, the third does not
                raise OverflowError("too much for a sum")
            return work(connection, *rest)

        return folded

    for name in ("fold", "roll_up"):
        monkeypatch.setattr(counting_module, name, failing(getattr(counting_module, name)))
    tiers = store.roll(AT + timedelta(hours=2))
    assert tiers.hours > AT
    rows = store.database.cursor().execute(
        "select plugin_id, sum(calls)::int from call_hours group by all order by all"
    )
    assert rows.fetchall() == [("bad", 20), ("good", 10)]
    (entry,) = aside(store)
    assert (entry["what"], entry["rows"], entry["plugin_id"]) == ("call_seconds", 1, "bad")


def test_a_person_has_it_tried_again_and_it_counts_once_it_can(store: Store, uncountable: set[str]) -> None:
    uncountable.add("unlucky")
    submit(store, points("unlucky", "good"))
    store.roll()
    (entry,) = aside(store)
    with pytest.raises(StoreError, match="still cannot be counted: unlucky"):
        store.writer.count_again(entry["id"], AT).result(10)
    assert called(store) == {"good": 10}
    uncountable.clear()
    store.writer.count_again(entry["id"], AT).result(10)
    assert called(store) == {"good": 10, "unlucky": 10}
    assert aside(store) == []
    with pytest.raises(NotFoundError):
        store.writer.count_again(entry["id"], AT).result(10)
    submit(store, points("good"))
    store.roll()
    assert called(store) == {"good": 20, "unlucky": 10}


def test_what_is_counted_after_all_and_its_decision_are_one_transaction(
    collector: Running, uncountable: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uncountable.add("bad")
    assert collector.collector.writer.submit(1, points("bad"), 1000).result(10)
    assert collector.scalar("select count(*) from plugin_calls") == 0
    (entry,) = json.loads(plugwarden("aside", "--json", url=collector.url).stdout)
    uncountable.clear()

    def full(*_: Any) -> Any:
        raise OSError("no room for a decision")

    with monkeypatch.context() as patch:
        patch.setattr(Sealing, "append", full)
        assert plugwarden("aside", "--retry", entry["id"], "--reason", "a test", url=collector.url).returncode == 1
    assert collector.scalar("select count(*) from plugin_calls") == 0
    assert [item["id"] for item in json.loads(plugwarden("aside", "--json", url=collector.url).stdout)] == [entry["id"]]
    assert plugwarden("aside", "--retry", entry["id"], "--reason", "a test", url=collector.url).returncode == 0
    assert collector.scalar("select sum(calls)::int from plugin_calls") == 10
    (decision,) = [item for item in collector.api.get("audit") if item["kind"] == "counted_after_all"]
    assert decision["evidence"]["plugin_id"] == "bad"
    assert collector.api.get("audit/verify")["valid"]


def test_when_no_row_is_to_blame_nothing_is_set_aside(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("a fault of ours")

    submit(store, points("good"))
    with monkeypatch.context() as patch:
        patch.setattr(counting_module, "count", broken)
        patch.setattr(counting_module, "roll_up", broken)
        with pytest.raises(KeyError):
            store.roll()
    assert aside(store) == []
    store.roll()
    assert called(store) == {"good": 10}


def test_many_bad_rows_cost_a_bounded_number_of_trials(
    store: Store, uncountable: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting_module, "MAX_TRIALS", 12)
    uncountable.update(f"p{number}" for number in range(0, 64, 2))
    submit(store, points(*(f"p{number}" for number in range(64))))
    submit(store, points("next"))
    store.roll()
    assert called(store)["next"] == 10
    assert sum(entry["rows"] for entry in aside(store)) + len(called(store)) - 1 == 64


def test_entries_are_bounded_and_the_oldest_rows_go_first(
    store: Store, uncountable: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from plugwarden_collector.store.duckdb.calls import set_aside

    monkeypatch.setattr(set_aside, "MAX_ENTRIES", 3)
    for number in range(5):
        uncountable.add(f"bad{number}")
        submit(store, points(f"bad{number}"))
        store.roll(AT + timedelta(seconds=number))
    assert [entry["plugin_id"] for entry in aside(store)] == ["bad4", "bad3", "bad2"]
    assert store.writer.counting.let_go == 2


def test_health_doctor_and_metrics_name_it_and_a_person_ends_it(collector: Running, uncountable: set[str]) -> None:
    uncountable.add("bad")
    writer = collector.collector.writer
    assert writer.submit(1, points("bad", "good"), 1000).result(10)
    collector.api.query("select 1")  # counts first
    collector.collector.health.look()
    (condition,) = [item for item in collector.api.get("health")["conditions"] if item["name"] == "calls_set_aside"]
    assert condition["state"] == "firing"
    assert "1 row of metric_points in commit 1 of host bad" in condition["summary"]
    assert "plugwarden_set_aside_rows_total 1.0" in httpx2.get(f"{collector.url}/metrics").text
    answer = plugwarden("doctor", url=collector.url)
    assert answer.returncode == 1
    assert "could not be counted" in answer.stdout
    (entry,) = json.loads(plugwarden("aside", "--json", url=collector.url).stdout)
    assert (entry["plugin_id"], entry["rows"], entry["kept"]) == ("bad", 1, True)
    again = plugwarden("aside", "--retry", entry["id"], "--reason", "a test", url=collector.url)
    assert again.returncode == 1
    assert "still cannot be counted" in again.stderr
    assert plugwarden("aside", "--drop", entry["id"], url=collector.url).returncode == 1
    assert plugwarden("aside", "--drop", entry["id"], "--reason", "a test", url=collector.url).returncode == 0
    collector.collector.health.look()
    (condition,) = [item for item in collector.api.get("health")["conditions"] if item["name"] == "calls_set_aside"]
    assert condition["state"] == "inactive"
    (decision,) = [item for item in collector.api.get("audit") if item["kind"] == "given_up"]
    assert decision["evidence"]["plugin_id"] == "bad"
    assert collector.api.get("audit/verify")["valid"]
