"""Names that are told apart: bounds for each plugin, service and all; what is beyond is counted under one name, and never judged."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden.contract import OVERFLOW, DirectiveSet, QuarantineState, Scope, name_fault
from plugwarden.contract.directive import MAX_SET_BYTES
from plugwarden_collector.clock import utc_now
from plugwarden_collector.control.budget_rows import BudgetRows
from plugwarden_collector.control.observe import observe
from plugwarden_collector.cycle import alerts as cycle_alerts
from plugwarden_collector.cycle import evaluate
from plugwarden_collector.cycle.directives import directives_for, unannounced
from plugwarden_collector.decide.alert import Alert, AlertRecord
from plugwarden_collector.decide.alert import transition as alert_transition
from plugwarden_collector.decide.changes import BudgetStatus
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.watch import Watch
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.rules.file import load_rules
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.names import told_apart
from plugwarden_collector.store.duckdb.names.places import Name, Places, admitted

from tests.collector.conftest import RULES, Running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.played_fleet import AT as CYCLE_AT
from tests.collector.support.played_fleet import RULES as CYCLE_RULES
from tests.collector.support.played_fleet import Fleet, RememberedCalls, burning
from tests.collector.support.rolled_store import AT, Store, ns
from tests.sidecar.support.bad_names import BAD


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small bounds, so that a test sees them reached."""
    monkeypatch.setattr(told_apart, "MAX_VERSIONS_OF_PLUGIN", 3)
    monkeypatch.setattr(told_apart, "MAX_NAMES_OF_SERVICE", 6)
    monkeypatch.setattr(told_apart, "MAX_NAMES", 10)


def calls(service: str, names: list[tuple[str, str]], *, failed: bool = False, at: Any = AT) -> Any:
    """One call of each plugin and version, as a span."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    scope = group.scope_spans.add()
    for number, (plugin, version) in enumerate(names):
        span = scope.spans.add(trace_id=b"t" * 16, span_id=(number + 1).to_bytes(8), name=f"operation {number}")
        span.start_time_unix_nano = span.end_time_unix_nano = ns(at)
        span.status.code = 2 if failed else 1
        for key, value in (("plugin.id", plugin), ("plugin.version", version)):
            span.attributes.add(key=key).value.string_value = value
    return message


def counted(store: Store) -> dict[tuple[str, str, str], int]:
    """Service, plugin and version -> calls."""
    rows = store.database.cursor().execute(
        "select service_name, plugin_id, plugin_version, sum(calls)::bigint from plugin_calls group by all"
    )
    return {(service, plugin, version): calls for service, plugin, version, calls in rows.fetchall()}


def test_versions_beyond_those_of_a_plugin_are_counted_as_one(store: Store) -> None:
    store.send(Signal.TRACES, calls("a", [("geo", str(number)) for number in range(5)]))
    store.roll()
    assert counted(store) == {
        ("a", "geo", "0"): 1,
        ("a", "geo", "1"): 1,
        ("a", "geo", "2"): 1,
        ("a", "geo", OVERFLOW): 2,
    }


def test_plugins_beyond_those_of_a_service_are_counted_as_one_and_the_first_keep_their_place(store: Store) -> None:
    store.send(Signal.TRACES, calls("a", [("geo", "1")]))
    store.roll()
    flood = [(f"p{number:03}", "1") for number in range(100)]
    store.send(Signal.TRACES, calls("a", [*flood, ("geo", "1"), ("geo", "2")], at=AT + timedelta(seconds=1)))
    store.roll()
    found = counted(store)
    assert found["a", "geo", "1"] == 2
    assert sum(found.values()) == 103
    assert len([name for name in found if OVERFLOW not in name]) == 6
    assert found["a", OVERFLOW, ""] + found.get(("a", "geo", OVERFLOW), 0) == 103 - 2 - 5


def test_one_service_takes_nothing_from_another(store: Store) -> None:
    store.send(Signal.TRACES, calls("flood", [(f"p{number:03}", "1") for number in range(100)]))
    store.roll()
    store.send(Signal.TRACES, calls("honest", [("geo", "1"), ("csv", "1")]))
    store.roll()
    found = counted(store)
    assert (found["honest", "geo", "1"], found["honest", "csv", "1"]) == (1, 1)


def test_what_is_beyond_takes_a_few_rows_however_many_names_it_has(store: Store) -> None:
    store.send(Signal.TRACES, calls("a", [(f"p{number:04}", str(number)) for number in range(3_000)]))
    store.roll()
    ((rows,),) = store.database.cursor().execute("select count(*) from call_seconds").fetchall()
    assert rows <= told_apart.MAX_NAMES_OF_SERVICE + 2
    assert sum(counted(store).values()) == 3_000


def test_raw_rows_keep_every_name(store: Store) -> None:
    store.send(Signal.TRACES, calls("a", [(f"p{number:03}", "1") for number in range(50)]))
    store.roll()
    ((names,),) = store.database.cursor().execute("select count(distinct plugin_id) from spans").fetchall()
    assert names == 50


def test_a_name_that_is_not_active_gives_its_place_to_another_where_there_is_need(store: Store) -> None:
    store.send(Signal.TRACES, calls("a", [("geo", str(number)) for number in range(3)]))
    store.roll()
    later = AT + timedelta(hours=20)
    store.send(Signal.TRACES, calls("a", [("geo", "2"), ("geo", "9")], at=later), later)
    store.roll(later)
    assert ("a", "geo", "9") not in counted(store)  # none is idle yet
    much_later = AT + timedelta(hours=26)
    store.send(Signal.TRACES, calls("a", [("geo", "9"), ("geo", "2")], at=much_later), much_later)
    store.roll(much_later)
    found = counted(store)
    assert found["a", "geo", "9"] == 1
    assert found["a", "geo", "2"] == 3


def test_places_are_as_they_were_after_a_restart(store: Store, tmp_path: Path) -> None:
    store.send(Signal.TRACES, calls("a", [(f"p{number:03}", "1") for number in range(100)]))
    store.roll()
    before = {name for name in counted(store) if OVERFLOW not in name}
    store.close()
    again = Store(tmp_path)
    try:
        again.send(Signal.TRACES, calls("a", [(f"p{number:03}", "1") for number in range(100, 0, -1)]))
        again.roll()
        assert {name for name in counted(again) if OVERFLOW not in name} == before
    finally:
        again.close()


def test_what_stands_for_many_is_neither_judged_nor_running(store: Store, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    rules = load_rules(tmp_path / "rules.toml")
    names = [("geo", str(number)) for number in range(50)] + [(f"p{number}", "1") for number in range(50)]
    store.send(Signal.TRACES, calls("a", names, failed=True))
    store.roll()
    seen = observe(
        store.telemetry.judging, rules, AT + timedelta(seconds=1), mark=0, since=AT - timedelta(hours=1), budgets=True
    )
    judged = {name for windows in seen.windows.values() for name in windows}
    assert 0 < len(judged) <= 6
    assert not any(OVERFLOW in name for name in judged | set(seen.versions))
    assert not any(OVERFLOW in name for counts in (seen.periods or {}).values() for name in counts)
    assert seen.running == len({plugin for plugin, _ in judged})


def test_late_and_folded_calls_are_told_apart_in_the_same_way(store: Store) -> None:
    store.send(Signal.TRACES, calls("a", [("geo", str(number)) for number in range(5)]))
    store.roll()
    later = AT + timedelta(hours=2)
    store.roll(later)
    store.send(Signal.TRACES, calls("a", [("geo", str(number)) for number in range(5, 9)]), later)
    store.roll(later)
    assert counted(store)["a", "geo", OVERFLOW] == 6
    hours = store.database.cursor().execute(
        "select plugin_version, sum(calls)::bigint from call_hours group by all order by all"
    )
    assert hours.fetchall() == [("0", 1), ("1", 1), ("2", 1), (OVERFLOW, 6)]


def test_services_beyond_their_names_are_noted(store: Store) -> None:
    for _ in range(2):
        store.send(Signal.TRACES, calls("a", [(f"p{number:03}", "1") for number in range(20)]))
        store.roll()
    store.send(Signal.TRACES, calls("b", [("geo", "1")]))
    store.roll()
    rows = store.database.cursor().execute("select service_name, since, last_at, calls from names_beyond").fetchall()
    assert rows == [("a", AT, AT, 28)]


def test_health_doctor_and_metrics_name_the_service(collector: Running) -> None:
    flood = [(f"p{number:03}", "1") for number in range(50)]
    writer = collector.collector.writer
    batch = read(Signal.TRACES, calls("noisy", flood, at=utc_now()).SerializeToString())
    assert writer.submit(1, batch.tables, batch.nbytes).result(10)
    collector.api.query("select 1")  # counts first
    collector.collector.health.look()
    (condition,) = [item for item in collector.api.get("health")["conditions"] if item["name"] == "too_many_names"]
    assert condition["state"] == "firing"
    assert "noisy" in condition["summary"]
    metrics = httpx2.get(f"{collector.url}/metrics").text
    assert "plugwarden_calls_beyond_names_total 44.0" in metrics
    assert "plugwarden_names_told_apart 6.0" in metrics
    answer = plugwarden("doctor", url=collector.url)
    assert answer.returncode == 1
    assert "more plugins or versions than are told apart" in answer.stdout


NAMES = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["p", "q", "r", "s"]), st.integers(0, 6).map(str)))


@given(NAMES, NAMES)
@settings(deadline=None)
def test_no_bound_is_ever_passed_and_a_place_once_taken_is_kept(first: list[Name], second: list[Name]) -> None:
    places = Places(told_apart.name_bounds())
    kept = admitted(dict.fromkeys(first), places)
    more = admitted(dict.fromkeys(name for name in second if name not in kept), places)
    names = kept + more
    assert len(names) == len(set(names)) == places.in_all <= told_apart.MAX_NAMES
    assert max(Counter(service for service, _, _ in names).values(), default=0) <= told_apart.MAX_NAMES_OF_SERVICE
    assert max(Counter(name[:2] for name in names).values(), default=0) <= told_apart.MAX_VERSIONS_OF_PLUGIN
    refused = [name for name in dict.fromkeys(first) if name not in kept]
    assert all(places.full_for(name) for name in refused)


# -- stores of before ------------------------------------------------------------------------------------------------------


def test_a_store_of_before_that_holds_a_flood_is_brought_within_the_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    database = Database(tmp_path)
    cursor = database.cursor()
    cursor.execute("drop table known_names; drop table names_beyond; delete from migrations where number = 6")
    columns = (
        "bucket_start, service_name, instance_id, plugin_id, plugin_version, plugin_operation, outcome, error_source, error_type, calls, "
        "duration_seconds_sum, duration_seconds_max, cpu_seconds, bucket_index, bucket_count"
    )
    row = "'s', 'i', {plugin}, {version}, 'op', 'success', '', '', 1, 0.1, 0.1, 0, [0], [1]"
    for tier, start in (
        ("call_seconds", AT),
        ("call_minutes", AT - timedelta(hours=1)),
        ("call_hours", AT - timedelta(days=2)),
    ):
        for plugin, version, count in (
            ("'first'", "'1'", 1),
            ("'geo'", "n::varchar", 150),
            ("'p' || n", "'1'", 2_500),
            ("repeat('x', 1200)", "'1'", 1),
            ("'bad' || chr(27)", "'1'", 1),
            ("'turned'", "chr(8238)", 1),
        ):
            values = row.format(plugin=plugin, version=version)
            later = timedelta(seconds=0 if plugin == "'first'" else 1)
            cursor.execute(
                f"insert into {tier} ({columns}) select ?::timestamp, {values} from range({count}) as numbers(n)",
                [start + later],
            )
    cursor.close()
    database.close()

    again = Database(tmp_path)
    try:
        with again.reading() as reader:
            ((names,),) = reader.execute("select count(*) from known_names").fetchall()
            assert names == told_apart.MAX_NAMES_OF_SERVICE
            for tier in ("call_seconds", "call_minutes", "call_hours"):
                rows = reader.execute(
                    f"select plugin_id, plugin_version, sum(calls) from {tier} group by all"
                ).fetchall()
                found = {(plugin, version): int(total) for plugin, version, total in rows}
                assert sum(found.values()) == 2_654
                assert found["first", "1"] == 1
                assert (
                    len([name for name in found if name[0] == "geo" and name[1] != OVERFLOW])
                    == told_apart.MAX_VERSIONS_OF_PLUGIN
                )
                assert found["geo", OVERFLOW] == 50
                assert all(
                    name_fault("plugin", plugin) is None and (not version or name_fault("version", version) is None)
                    for plugin, version in found
                    if OVERFLOW not in {plugin, version}
                )
    finally:
        again.close()


def test_the_bounds_are_those_that_stores_of_before_were_brought_within(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert (told_apart.MAX_VERSIONS_OF_PLUGIN, told_apart.MAX_NAMES_OF_SERVICE, told_apart.MAX_NAMES) == (
        100,
        2_000,
        20_000,
    )


# -- what a turn costs -------------------------------------------------------------------------------------------------------


def test_a_turn_brings_forward_the_alerts_of_what_fails_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def counting(alert: Alert, *rest: Any, **named: Any) -> tuple[Alert, str | None]:
        looked_at.append(alert.fingerprint)
        return alert_transition(alert, *rest, **named)

    monkeypatch.setattr(cycle_alerts, "alert_transition", counting)
    calm = {(f"p{number}", "1"): 0 for number in range(2_000)}
    standing, known = Standing(), RememberedCalls()
    standing, _, _ = evaluate(CYCLE_RULES, standing, Watch(), burning({**calm, ("csv", "2"): 50}), known, lambda: 0.5)
    assert len(looked_at) == 2  # the page of one version, and the ticket of its plugin
    looked_at.clear()
    standing, _, _ = evaluate(CYCLE_RULES, standing, Watch(), burning({**calm, ("csv", "2"): 0}), known, lambda: 0.5)
    assert len(looked_at) == 2  # what has an alert is brought forward also when it no longer fails


BAD_COUNTS = st.dictionaries(st.sampled_from([("p", "1"), ("p", "2"), ("q", "1")]), st.integers(0, 100), min_size=1)


@given(st.lists(BAD_COUNTS, min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_what_is_passed_over_would_not_have_changed(steps: list[dict[tuple[str, str], int]]) -> None:
    found = []
    for passing_over in (True, False):
        standing = Standing()
        if not passing_over:  # with a record of each, all are brought forward
            for plugin, version in (("p", "1"), ("p", "2"), ("q", "1")):
                for severity, of in (("page", version), ("ticket", None)):
                    fingerprint = cycle_alerts.fingerprint_of("availability", plugin, of, severity)
                    record = AlertRecord(Alert(fingerprint), "", severity, "availability", plugin, of, "", "", CYCLE_AT)
                    standing.alerts[fingerprint] = record
        states: list[object] = []
        for number, bad in enumerate(steps):
            at = CYCLE_AT + timedelta(seconds=20 * number)
            standing, _, changes = evaluate(
                CYCLE_RULES, standing, Watch(), burning(bad, at), RememberedCalls(), lambda: 0.5
            )
            states.append(
                [(event.record.alert.fingerprint, event.before, event.after) for event in changes.alert_events]
            )
            states.append([item.kind for item in changes.decisions])
        found.append(states)
    assert found[0] == found[1]


def test_a_budget_is_written_when_it_says_something_else_and_now_and_then() -> None:
    rows = BudgetRows()

    def row(plugin: str, seconds: float, total: int) -> BudgetStatus:
        at = AT + timedelta(seconds=seconds)
        return BudgetStatus("slo", plugin, "1", at, "availability", 0.99, 3600.0, total, 0, 1.0, 1.0, 0.0, None)

    first = [row("geo", 0, 10), row("csv", 0, 5)]
    assert rows.changed(first) == first
    assert rows.changed(first) == first  # it was not stored yet
    rows.written(first, first)
    later = [row("geo", 5, 11), row("csv", 5, 5)]
    assert rows.changed(later) == later[:1]
    rows.written(later, later[:1])
    assert rows.changed([row("csv", 599, 5)]) == []
    assert rows.changed([row("csv", 600, 5)]) == [row("csv", 600, 5)]
    assert rows.changed([row("csv", -1, 5)]) == [row("csv", -1, 5)]  # the clock was set back
    rows.written([row("geo", 6, 11)], [])
    assert rows.changed([row("csv", 6, 5)]) == [row("csv", 6, 5)]  # forgotten with its name


def test_a_quarantine_knows_the_newest_versions_as_many_as_a_directive_can_tell() -> None:
    standing = Standing(versions={("geo", f"{number:04}"): AT + timedelta(seconds=number) for number in range(3_000)})
    known = standing.versions_beside("geo", "2999")
    assert known == tuple(f"{number:04}" for number in range(2_499, 2_999))


# -- what sidecars are told --------------------------------------------------------------------------------------------------


def held(identity: str, scope: Scope, actor: str = AUTOMATION, reason: str = "it fails", known: int = 0) -> Quarantine:
    return Quarantine(
        identity, scope, QuarantineState.QUARANTINED, reason, actor, Enforcement.ENFORCE, CYCLE_AT, CYCLE_AT,
        known_versions=tuple(f"{number:0200}" for number in range(known)),
    )  # fmt: skip


def test_a_quarantine_of_before_under_a_name_that_is_none_is_left_out_and_shown() -> None:
    standing = Standing()
    for number, name in enumerate(["", "x" * 1_200, "geo\x1b[2J", "\u202egeo"]):
        standing.quarantines[f"q-{number}"] = held(f"q-{number}", Scope(name))
    standing.quarantines["q-version"] = held("q-version", Scope("geo", "1" * 1_200))
    standing.quarantines["q-good"] = held("q-good", Scope("geo"), actor="ann")
    standing, _, _ = evaluate(
        CYCLE_RULES, standing, Watch(), burning({("csv", "1"): 0}, CYCLE_AT), RememberedCalls(), lambda: 0.5
    )
    told = DirectiveSet.from_dict(json.loads(json.dumps(standing.directives.as_dict())))
    assert ([item.id for item in told.directives], told.refused_total) == (["q-good"], 0)
    assert {item.id for item in unannounced(standing)} == {"q-0", "q-1", "q-2", "q-3", "q-version"} - overruled(
        standing
    )


def overruled(standing: Standing) -> set[str]:
    """Of a plugin that a person isolated as a whole, nothing more needs telling."""
    return {
        item.id for item in standing.quarantines.values() if item.scope.plugin == "geo" and item.actor == AUTOMATION
    }


def test_no_set_is_larger_than_a_sidecar_reads_and_what_people_decided_comes_first() -> None:
    standing = Standing()
    for number in range(60):
        scope = Scope(f"p{number:02}", "1")
        standing.quarantines[f"q-{number:02}"] = held(f"q-{number:02}", scope, known=1_000)
    standing.quarantines["q-zz"] = held("q-zz", Scope("geo"), actor="ann")
    told = directives_for(standing, CYCLE_RULES)
    assert "q-zz" in {item.id for item in told}
    assert 1 < len(told) < 61
    assert len(json.dumps(DirectiveSet("e", 1, told).as_dict())) <= MAX_SET_BYTES
    standing.directives = DirectiveSet("e", 1, told)
    assert len(unannounced(standing)) == 61 - len(told)


@pytest.mark.parametrize("name", [name for name in BAD.values() if not any("\ud800" <= c <= "\udfff" for c in name)])
def test_nobody_can_isolate_by_hand_what_no_sidecar_could_be_told_of(shared: Running, name: str) -> None:
    for part in ("plugin", "version", "operation", "tenant"):
        if name == OVERFLOW and part in {"operation", "tenant"}:
            continue
        body = {"plugin": "geo", "reason": "a person says so", part: name}
        answer = httpx2.post(f"{shared.url}/api/v1/quarantine", json=body)
        assert answer.status_code == 422
        assert part in answer.text


@pytest.mark.parametrize(
    ("part", "name"),
    [("operation", OVERFLOW), ("operation", ""), ("instance", OVERFLOW), ("instance", ""), ("tenant", OVERFLOW)],
)
def test_a_scope_is_not_narrowed_to_what_no_directive_can_name(part: str, name: str) -> None:
    fleet = Fleet()
    fleet.has_past("geo")

    def one_part_fails() -> None:
        for value, bad in ((name, 40), ("other", 0)):
            where: dict[str, Any] = {"on": (value,)} if part == "instance" else {part: value}
            fleet.arrive("geo", "1", 50, bad, **where)

    fleet.play(10, one_part_fails, step=1)
    assert fleet.told == {Scope("geo", "1")}


def test_a_spans_own_name_is_its_operation_only_where_it_can_be_a_name(store: Store) -> None:
    names = ["lookup", "GET /a/b?c", "x" * 201, "two\nlines", "\u202eturned", "", " "]
    message = calls("a", [("geo", "1")] * len(names))
    for span, name in zip(message.resource_spans[0].scope_spans[0].spans, names, strict=True):
        span.name = name
    store.send(Signal.TRACES, message)
    store.roll()
    found = {operation: count for (_, operation, _), count in store.calls().items()}
    assert found == {"lookup": 1, "GET /a/b?c": 1, OVERFLOW: 5}
