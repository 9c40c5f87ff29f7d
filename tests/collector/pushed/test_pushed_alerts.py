"""Alerts that others push: each judged by itself, cheap when repeated, ended when no longer pushed, and bounded."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.announce.message import FIRING, Message
from plugwarden_collector.announce.notice import Notice
from plugwarden_collector.announce.receivers.alertmanager import Alertmanager
from plugwarden_collector.announce.receivers.sender import Occasion
from plugwarden_collector.announce.subject import Subject
from plugwarden_collector.audit import Place as AuditPlace
from plugwarden_collector.pushed import PushedAlerts, alerts, read_alerts, read_notice
from plugwarden_collector.pushed.alerts import RESOLVED_KEPT, Known, merge
from plugwarden_collector.pushed.reading import RESOLVE_TIMEOUT, TOLD_AGAIN, MalformedAlertsError
from plugwarden_collector.rules.receiver import Receiver, ReceiverKind
from plugwarden_collector.store import Database, Writer, open_ledger
from prometheus_client.parser import text_string_to_metric_families

from tests.collector.conftest import Running, running
from tests.collector.support.waiting import eventually

AT = datetime(2026, 1, 1, 12)
OURS = "0123456789ab"
GOOD = {"labels": {"alertname": "DiskFull"}}


class Place:
    """A store, its writer and a clock, and what is pushed into them."""

    def __init__(self, folder: Path, tolder: str = OURS) -> None:
        self.at, self.tolder = AT, tolder
        self.database = Database(folder)
        self.writer = Writer(self.database)
        self.ledger = open_ledger(self.database, self.writer, AuditPlace.of(), AT)
        self.alerts = self.started()

    def started(self) -> PushedAlerts:
        """As after a start."""
        return PushedAlerts(self.ledger, lambda: self.at, self.tolder)

    def again(self) -> None:
        """Start anew."""
        self.alerts.close()
        self.alerts = self.started()

    def push(self, *alerts: Any) -> tuple[int, list[tuple[int, str]]]:
        taken, refused, _ = asyncio.run(self.alerts.take(json.dumps(alerts).encode()))
        return taken, [(item.index, item.field) for item in refused]

    def later(self, **length: float) -> int:
        self.at += timedelta(**length)
        return asyncio.run(self.alerts.expire())

    def states(self) -> dict[str, str]:
        return {row.name: row.state for row in self.ledger.alerts()}

    def writer_seconds(self) -> float:
        return float(self.writer.run(lambda connection: time.thread_time()).result())

    def close(self) -> None:
        self.alerts.close()
        self.ledger.close()
        self.writer.close(10)
        self.database.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.close()


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"labels": {"alertname": name}, **more}


@pytest.mark.parametrize(
    ("alert", "field"),
    [
        ({"labels": {}}, "labels"),
        ({"labels": {"a": ""}}, "labels"),
        ({}, "labels"),
        ({"labels": ["a"]}, "labels"),
        ({"labels": {"alertname": 1}}, "labels.alertname"),
        ({"labels": {"alertname": None}}, "labels.alertname"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"a\n": "x"}}, "labels"),
        ({"labels": {"alertname": "nul\0"}}, "labels.alertname"),
        ({"labels": {"alertname": "half \ud800"}}, "labels.alertname"),
        ({"labels": {"alertname": "x" * 1025}}, "labels.alertname"),
        ({"labels": {f"a{number}": "x" for number in range(65)}}, "labels"),
        (named("a", annotations={"summary": "x" * 16_400}), "annotations.summary"),
        (named("a", annotations={"a": "x" * 9_000, "b": "x" * 9_000}), ""),
        (named("a", annotations="x"), "annotations"),
        (named("a", generatorURL=1), "generatorURL"),
        (named("a", startsAt="yesterday"), "startsAt"),
        (named("a", startsAt=1), "startsAt"),
        (named("a", startsAt="2026-13-01T00:00:00Z"), "startsAt"),
        (named("a", startsAt="2026-01-01"), "startsAt"),
        (named("a", startsAt="٢٠٢٦-01-01T00:00:00Z"), "startsAt"),
        (named("a", startsAt="9999-12-31T23:59:59-14:00"), "startsAt"),
        (named("a", endsAt="1066-10-14T00:00:00Z"), "endsAt"),
        (named("a", startsAt="2026-01-02T00:00:00Z", endsAt="2026-01-01T00:00:00Z"), "endsAt"),
        ("text", ""),
        ([], ""),
    ],
)
def test_a_bad_alert_costs_itself_alone_and_is_named(place: Place, alert: Any, field: str) -> None:
    assert place.push(GOOD, alert, named("Other")) == (2, [(1, field)])
    assert place.states() == {"DiskFull": "firing", "Other": "firing"}
    assert place.alerts.counts["invalid"] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"x",
        b'"x"',
        b"[",
        b"[" * 100_000,
        b"[" + b"9" * 5_000 + b"]",
        b"\xff",
        b"[{}," * 10 + b"{}]",
        b"null",
    ],
)
def test_what_is_no_list_of_alerts_is_refused_as_a_whole(body: bytes) -> None:
    if body.startswith(b"[{},"):
        body = b"[" + b"{}," * 10_000 + b"{}]"
    with pytest.raises(MalformedAlertsError):
        read_alerts(body)


def test_times_are_read_to_the_nanosecond_and_gos_zero_is_none() -> None:
    (alert,), refused = read_alerts(
        b'[{"labels": {"a": "b", "empty": ""}, "annotations": null, "generatorURL": null, "foo": 1,'
        b' "startsAt": "2026-01-01T02:00:00.123456789+02:00", "endsAt": "0001-01-01T00:00:00Z"}]'
    )
    assert not refused
    assert (alert.starts_at, alert.ends_at) == (datetime(2026, 1, 1, 0, 0, 0, 123456), None)
    assert alert.labels == {"a": "b"}


def test_an_alert_ends_when_it_says_so_or_is_pushed_as_over(place: Place) -> None:
    place.push(named("Timed", endsAt="2026-01-01T12:01:00Z"), named("Told"))
    assert place.later(seconds=59) == 0
    place.push(named("Told", endsAt="2026-01-01T12:00:30Z"))
    assert place.states() == {"Timed": "firing", "Told": "inactive"}
    assert place.later(seconds=1) == 1
    assert place.states() == {"Timed": "inactive", "Told": "inactive"}
    assert place.ledger.alerts()[0].resolved_at in {
        datetime(2026, 1, 1, 12, 1), datetime(2026, 1, 1, 12, 0, 30),
    }  # fmt: skip


def test_an_alert_without_an_end_lasts_for_as_long_as_it_is_pushed(place: Place) -> None:
    for _ in range(3):
        place.push(GOOD)
        assert place.later(minutes=4) == 0
    assert place.later(minutes=1) == 1
    assert place.states() == {"DiskFull": "inactive"}


def test_what_ended_long_ago_is_let_go_of(place: Place) -> None:
    place.push(GOOD)
    place.later(minutes=5)
    place.later(seconds=RESOLVED_KEPT.total_seconds())
    assert place.states() == {}


def test_after_a_restart_alerts_fire_on_until_they_could_have_been_pushed_again(place: Place) -> None:
    place.push(named("Pushed"), named("Forgotten"), named("Over"))
    place.push(named("Over", endsAt="2026-01-01T12:00:00Z"))
    place.at += timedelta(hours=1)
    place.alerts.close()
    place.alerts = place.started()
    assert place.alerts.firing == 2
    assert place.later(seconds=RESOLVE_TIMEOUT.total_seconds() - 1) == 0
    place.push(named("Pushed"))
    place.later(seconds=1)
    assert place.states() == {"Pushed": "firing", "Forgotten": "inactive", "Over": "inactive"}


def test_an_alert_ends_at_its_end_over_a_restart(place: Place) -> None:
    place.push(named("Short", endsAt="2026-01-01T12:01:00Z"), named("Long", endsAt="2026-01-01T14:00:00Z"))
    place.push(named("Long", endsAt="2026-01-01T15:00:00Z"))
    place.at += timedelta(minutes=2)
    place.again()
    assert place.later(seconds=0) == 1
    assert place.states() == {"Short": "inactive", "Long": "firing"}
    assert {row.resolved_at for row in place.ledger.alerts() if row.name == "Short"} == {datetime(2026, 1, 1, 12, 1)}
    assert place.later(hours=2, minutes=57) == 0
    assert place.later(minutes=1) == 1


def test_an_end_that_moves_with_each_repeat_costs_one_write(place: Place) -> None:
    """As Prometheus pushes: the end is four minutes ahead, each minute."""
    for minute in range(10):
        place.push(named("Repeated", endsAt=f"2026-01-01T12:{minute + 4:02}:00Z"))
        place.later(minutes=1)
    assert place.alerts.counts["stored"] == 2
    place.again()
    assert place.later(seconds=RESOLVE_TIMEOUT.total_seconds() - 1) == 0, "it may be pushed again"


def notice(*items: Any, **more: Any) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "receiver": "hook", "alerts": items, **more}).encode()


def test_an_alertmanager_tells_what_fires_and_when_it_is_over(place: Place) -> None:
    zero = {"endsAt": "0001-01-01T00:00:00Z", "startsAt": "2026-01-01T11:59:00Z"}
    told = notice(named("Disk", status="firing", **zero), named("Lost", status="firing", **zero))
    taken, refused, changed = asyncio.run(place.alerts.take(told, read_notice))
    assert (taken, refused, len(changed)) == (2, [], 2)
    place.at += timedelta(hours=4)
    place.again()
    assert place.later(seconds=0) == 0, "Alertmanager repeats it after hours"
    over = named("Disk", status="resolved", startsAt="2026-01-01T11:59:00Z", endsAt="2026-01-01T15:00:00Z")
    asyncio.run(place.alerts.take(notice(over), read_notice))
    assert place.states() == {"Disk": "inactive", "Lost": "firing"}
    place.later(seconds=TOLD_AGAIN.total_seconds())
    assert place.states()["Lost"] == "inactive"


@pytest.mark.parametrize(
    ("alert", "field"),
    [
        (named("a", status="odd"), "status"),
        (named("a"), "status"),
        (named("a", status="resolved"), "endsAt"),
        (named("a", status="resolved", endsAt="0001-01-01T00:00:00Z"), "endsAt"),
        ({"status": "firing"}, "labels"),
    ],
)
def test_a_bad_alert_of_a_notice_costs_itself_alone(place: Place, alert: Any, field: str) -> None:
    taken, refused, _ = asyncio.run(place.alerts.take(notice(alert, named("b", status="firing")), read_notice))
    assert (taken, [(item.index, item.field) for item in refused]) == (1, [(0, field)])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", notice(version="3"), notice(alerts={}), b"[" * 100_000])
def test_what_is_no_notice_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(MalformedAlertsError):
        read_notice(body)


def test_what_a_collector_told_itself_is_dropped_and_counted(place: Place) -> None:
    own = named("plugin quarantined", annotations={"told_by": "plugwarden"})
    assert place.push(own, {}, named("Other"), own) == (3, [(1, "labels")])
    assert place.states() == {"Other": "firing"}
    assert place.alerts.counts["own"] == 2


def test_of_two_collectors_that_tell_one_alertmanager_each_takes_what_the_other_told_and_drops_its_own(
    place: Place, tmp_path: Path
) -> None:
    other, record = Place(tmp_path / "other", "ba9876543210"), named("works")["labels"]
    subject = Subject("a-1", {**record, "severity": "page", "plugin": "csv"}, "csv fails", "", AT)
    told = Notice("x", "{}:{}", {}, (Message("x", FIRING, subject),), AT, True)
    forms = [_told_by(collector, told) for collector in (place, other)]
    passed = json.loads(json.dumps([alert for form in forms for alert in form["alerts"]]))
    for collector in (place, other):
        for _ in range(2):  # Alertmanager repeats them
            assert collector.push(*passed) == (2, [])
            notice_of_both = {"version": "4", "alerts": [{**alert, "status": "firing"} for alert in passed]}
            taken, refused, _ = asyncio.run(collector.alerts.take(json.dumps(notice_of_both).encode(), read_notice))
            assert (taken, refused) == (2, [])
        (row,) = collector.ledger.pushed_firing()
        assert row.labels["plugwarden"] == (other if collector is place else place).tolder
        assert collector.alerts.counts["own"] == 4
    assert forms[0]["alerts"][0]["labels"] != forms[1]["alerts"][0]["labels"], "one would end the other's"
    other.close()


def _told_by(collector: Place, told: Notice) -> dict[str, Any]:
    """Return what a collector tells an Alertmanager."""
    occasion = Occasion(AT, tolder=collector.tolder)
    return Alertmanager(httpx2.AsyncClient()).form(Receiver("x", "", kind=ReceiverKind.ALERTMANAGER), told, occasion)


def test_an_alert_that_comes_back_fires_anew(place: Place) -> None:
    place.push(GOOD)
    place.later(minutes=5)
    place.push(GOOD)
    (row,) = place.ledger.alerts()
    assert (row.state, row.firing_at, row.resolved_at) == ("firing", place.at, None)


def crowd(count: int, text: str = "") -> list[dict[str, Any]]:
    return [
        {
            "labels": {
                "alertname": f"a-{number}",
                "severity": "page",
                "instance": f"host-{number % 100}",
                "job": "node",
            },
            "annotations": {"summary": text + "x" * 200, "description": "y" * 300},
            "startsAt": "2026-01-01T00:00:00Z",
        }
        for number in range(count)
    ]


def test_ten_thousand_alerts_cost_the_writer_less_than_a_second_and_repeats_nothing(place: Place) -> None:
    before = place.writer_seconds()
    assert place.push(*crowd(10_000)) == (10_000, [])
    assert place.writer_seconds() - before < 1.0
    first = place.alerts.counts["stored"]
    again = place.writer_seconds()
    for start in range(0, 10_000, 256):  # as Prometheus sends them every minute
        place.push(*crowd(10_000)[start : start + 256])
    assert place.alerts.counts["stored"] == first == 10_000
    assert place.writer_seconds() - again < 0.05
    assert place.alerts.counts["unchanged"] == 10_000


def test_a_large_push_leaves_the_writer_to_others_in_between(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    run = place.writer.run

    def watched(work: Any, then: Any = None, *, first: bool = False) -> Any:
        def part(connection: Any) -> Any:
            order.append("alerts")
            return work(connection)

        waiting = not order
        done = run(part, then)
        if waiting:  # somebody comes while the first part is under way
            run(lambda connection: order.append("others"))
        return done

    monkeypatch.setattr(place.writer, "run", watched)
    place.push(*crowd(3_000))
    assert order == ["alerts", "others", "alerts", "alerts"]


def test_what_the_writer_has_no_time_for_is_told_to_come_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from plugwarden_collector.errors import BusyError
    from plugwarden_collector.pushed import alerts as module

    monkeypatch.setattr(module, "WRITE_SECONDS", 0.05)
    place.writer.run(lambda connection: time.sleep(0.5))
    with pytest.raises(BusyError):
        place.push(GOOD)
    assert place.alerts.firing == 0
    place.writer.run(lambda connection: None).result()
    assert place.states() == {}, "memory and store are one"


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 9), st.sampled_from([None, "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"])),
            max_size=8,
        ),
        max_size=8,
    )
)
def test_however_many_are_pushed_no_more_are_kept_than_may_be_and_none_that_fires_goes(
    pushes: list[list[tuple[int, str | None]]],
) -> None:
    known: dict[str, Known] = {}
    for push in pushes:
        found, _ = read_alerts(json.dumps([named(f"a{name}", endsAt=end) for name, end in push]).encode())
        merged = merge(known, found, AT, limit=4)
        firing = {name for name, item in known.items() if item.firing}
        assert not firing & set(merged.evicted)
        known = {name: item for name, item in known.items() if name not in merged.evicted} | merged.known
        assert len(known) <= 4
        assert set(merged.rows) <= set(merged.known)


def test_what_is_too_much_is_refused_counted_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "MAX_KEPT", 2)
    with running(tmp_path / "data") as collector:
        answer = httpx2.post(
            f"{collector.url}/api/v2/alerts", json=[named("a"), {"labels": {}}, named("b"), named("c")]
        )
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
        assert answer.json().startswith("2 alerts are taken, 2 are not: alert 1.labels: ")
        assert "; alert 3: " in answer.json()
        families = text_string_to_metric_families(httpx2.get(f"{collector.url}/metrics").text)
        samples = {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}
        assert samples["plugwarden_pushed_alerts_firing"] == 2
        text = httpx2.get(f"{collector.url}/metrics").text
        assert 'plugwarden_pushed_alerts_total{result="full"} 1.0' in text
        assert 'plugwarden_pushed_alerts_total{result="invalid"} 1.0' in text


def test_pushed_alerts_cannot_crowd_out_our_own(place: Place) -> None:
    place.writer.run(
        lambda connection: connection.execute(
            "insert into alerts values ('a-1', 'own', 'page', 'pending', 's', 'csv', '1', '{}', '', '', ?, null, null, ?, null, "
            "'plugwarden', '{}')",
            [AT, AT],
        )
    ).result()
    place.push(*crowd(2_000))
    rows = place.ledger.alerts()
    assert len(rows) == 1_001
    assert "own" in {row.name for row in rows}


@pytest.mark.parametrize(
    "path",
    [
        "traces/+" + "1" * 31, "traces/" + "1_" * 16, "traces/%D9%A3" + "1" * 31, "traces?min_seconds=nan",
        "traces?max_seconds=inf", "traces?min_seconds=-1", "alerts?history_hours=nan", "directives?wait=nan", "directives?after=x",
    ],
)  # fmt: skip
def test_no_parameter_makes_the_collector_fail(shared: Running, path: str) -> None:
    answer = httpx2.get(f"{shared.url}/api/v1/{path}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_silence_of_no_length_is_refused(shared: Running) -> None:
    body = {"matchers": {"plugin": "x"}, "seconds": 1e-9, "comment": "nothing"}
    assert httpx2.post(f"{shared.url}/api/v1/silences", json=body).status_code == 422


def test_the_labels_of_our_own_metrics_name_the_plugin_as_well(collector: Running) -> None:
    """A rule over what a sidecar serves passes its labels on as they are."""
    for labels in ({"plugin_id": "csv", "plugin_version": "2"}, {"plugin": "csv", "version": "2", "plugin_id": "x"}):
        push = [{"labels": {"alertname": "Slow", **labels}}]
        assert httpx2.post(f"{collector.url}/api/v2/alerts", json=push).status_code == 200
    rows = collector.api.get("alerts")["alerts"]
    assert [(row["plugin_id"], row["plugin_version"]) for row in rows] == [("csv", "2")] * 2


def test_all_pushed_alerts_are_read_through_alertmanagers_api(tmp_path: Path) -> None:
    """Before, the list was that of a page: a thousand of them."""
    with running(tmp_path / "data") as collector:
        alerts = [{"labels": {"alertname": "many", "number": str(number)}} for number in range(1_100)]
        assert httpx2.post(f"{collector.url}/api/v2/alerts", json=alerts, timeout=60).status_code == 200
        eventually(lambda: len(httpx2.get(f"{collector.url}/api/v2/alerts", timeout=60).json()) == 1_100)
