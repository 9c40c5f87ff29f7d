"""The API as its users see it: people, sidecars, Prometheus, and programs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from plugwarden import PluginQuarantined, Sidecar
from plugwarden_collector.api.client import ApiError, Unreachable
from plugwarden_collector.app import open_app
from plugwarden_collector.clock import utc_now
from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.standing import Incident
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.receive.decode import native
from plugwarden_collector.settings import Address, Settings
from plugwarden_collector.web.auth import read_tokens
from prometheus_client.parser import text_string_to_metric_families

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.refused import refused
from tests.collector.support.waiting import eventually, while_calling


def test_a_person_quarantines_and_releases_in_every_host(collector: Running, sidecar: Sidecar) -> None:
    call = sidecar.wrap(lambda: "ran", plugin="csv", version="1", operation="x")
    assert call() == "ran"
    body = {"plugin": "csv", "reason": "it leaks customer names", "actor": "ann", "force": True}
    held = collector.api.post("quarantine", body)
    eventually(lambda: refused(call))
    with pytest.raises(ApiError, match="already"):
        collector.api.post("quarantine", body)
    collector.api.post(f"quarantine/{held['id']}/release", {"reason": "a new build", "actor": "ann"})
    eventually(lambda: not refused(call))
    log = collector.api.get("audit", stream="decisions")
    assert [(item["kind"], item["actor"], item["says"]) for item in log] == [
        ("released", "local operator", "ann"),
        ("quarantined", "local operator", "ann"),
    ]
    verified = collector.api.get("audit/verify")
    assert {name: verified[name] for name in ("valid", "decisions", "problem", "head")} == {
        "valid": True, "decisions": 2, "problem": None, "head": log[0]["hash"],
    }  # fmt: skip


def test_what_was_never_called_is_isolated_only_by_force(collector: Running, sidecar: Sidecar) -> None:
    call = sidecar.wrap(lambda: None, plugin="csv", version="1.4.0", operation="x")
    call()
    sidecar.flush(timeout=10)
    eventually(lambda: [row["plugin_id"] for row in collector.api.get("plugins")] == ["csv"])
    known = r"did you mean 1\.4\.0\? Known versions of csv: 1\.4\.0\. To isolate it for when it comes: force"
    with pytest.raises(ApiError, match=known):
        collector.api.post("quarantine", {"plugin": "csv", "version": "1.4.1", "reason": "it leaks"})
    with pytest.raises(ApiError, match="nobody has called pdf so far"):
        collector.api.post("quarantine", {"plugin": "pdf", "reason": "it leaks"})
    assert collector.api.get("quarantine") == []
    held = collector.api.post("quarantine", {"plugin": "csv", "version": "1.4.1", "reason": "it leaks", "force": True})
    assert held["warning"] == "nobody has called version 1.4.1 of csv so far; did you mean 1.4.0?"
    assert (
        collector.api.post("quarantine", {"plugin": "csv", "version": "1.4.0", "reason": "it leaks"})["warning"] is None
    )


def test_a_failing_version_is_quarantined_by_itself(collector: Running, sidecar: Sidecar) -> None:
    def fail() -> None:
        raise OSError("disk")

    good = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
    bad = sidecar.wrap(fail, plugin="csv", version="2", operation="x", breaker=False)
    for _ in range(30):
        good()

    def tried() -> bool:
        try:
            bad()
        except PluginQuarantined:
            return True
        except OSError:
            pass
        return False

    eventually(tried, 40)
    assert not refused(good)
    (item,) = collector.api.get("quarantine")
    assert (item["plugin_version"], item["state"], item["actor"]) == ("2", "quarantined", "automation")
    assert item["evidence"]["errors"]["OSError"] >= 5
    alerts = collector.api.get("alerts")
    assert {(row["plugin_version"], row["state"]) for row in alerts["alerts"]} == {("2", "firing"), (None, "firing")}
    page = next(row for row in alerts["alerts"] if row["severity"] == "page")
    assert "OSError" in page["description"]
    eventually(lambda: next(row for row in collector.api.get("alerts")["alerts"])["inhibited_by"] == item["id"])
    detail = collector.api.get("plugins/csv", since="5m")
    assert detail["state"] == "quarantined"
    eventually(lambda: [row for row in collector.api.get("slos") if row["plugin_version"] == "2" and row["bad"] >= 5])


def test_what_was_decided_survives_a_restart(tmp_path: Path, rules: Path) -> None:
    with running(tmp_path / "data", rules) as first:
        held = first.api.post("quarantine", {"force": True, "plugin": "csv", "version": "2", "reason": "by hand"})
        before = first.api.get("directives", after=0)
    with running(tmp_path / "data", rules) as second:
        assert second.api.get("directives", after=0) == before
        assert second.api.get("quarantine")[0]["id"] == held["id"]
        second.api.post(f"quarantine/{held['id']}/release", {"reason": "enough"})
        after = eventually(lambda: _newer(second, before["revision"]))
        assert after["directives"] == []
        assert second.api.get("audit/verify")["decisions"] == 2


def test_an_approval_and_an_override_survive_a_restart(tmp_path: Path, rules: Path) -> None:
    with running(tmp_path / "data", rules) as first:
        held = first.api.post("quarantine", {"force": True, "plugin": "csv", "version": "2", "reason": "by hand"})
        first.api.post(f"quarantine/{held['id']}/release", {"reason": "enough", "override_seconds": 7200})
        other = first.api.post("quarantine", {"force": True, "plugin": "geo", "reason": "by hand"})
        first.api.post(f"quarantine/{other['id']}/release", {"reason": "enough"})
        before = [(row["id"], row["evidence"]) for row in first.api.get("quarantine")]
        ended = {row["id"]: row for row in first.api.get("quarantine")}
    with running(tmp_path / "data", rules) as second:
        assert [(row["id"], row["evidence"]) for row in second.api.get("quarantine")] == before
    for identity, seconds in ((held["id"], 7200), (other["id"], 3600)):
        row = ended[identity]
        until = datetime.fromisoformat(row["evidence"]["override_until"])
        at = datetime.fromisoformat(row["ended_at"]).replace(tzinfo=None)
        assert (until - at).total_seconds() == seconds, "what the person said, or the policy"


def _newer(collector: Running, revision: int) -> Any:
    found = collector.api.get("directives")
    return found if found["revision"] > revision else None


def test_a_plugin_page_and_the_fleet_say_the_same(collector: Running, sidecar: Sidecar) -> None:
    for name, calls in (("csv", 3), ('a "quoted" \\ name', 2)):
        for _ in range(calls):
            sidecar.wrap(lambda: None, plugin=name, version="1", operation="x")()
    sidecar.flush(10)
    fleet = {row["plugin_id"]: row for row in eventually(lambda: collector.api.get("plugins"))}
    assert {name: row["calls"] for name, row in fleet.items()} == {"csv": 3, 'a "quoted" \\ name': 2}
    page = collector.api.get("plugins/csv")
    asked = ("calls", "failed", "p50_seconds", "p99_seconds", "versions", "state", "last_at")
    assert {key: page[key] for key in asked} == {key: fleet["csv"][key] for key in asked}
    series = collector.api.get("series")
    told: dict[str, int] = {}
    for row in series["calls"]:
        told[row["plugin_id"]] = told.get(row["plugin_id"], 0) + row["calls"]
        assert row["time"].endswith("Z")
        assert (row["failed"], row["rejected"]) == (0, 0)
    assert told == {name: row["calls"] for name, row in fleet.items()}
    assert collector.api.get("series", until="2001-01-01")["calls"] == []


def test_a_silence_is_previewed_made_extended_and_ended(collector: Running) -> None:
    api = collector.api
    item = api.post("quarantine", {"force": True, "plugin": "csv", "reason": "it leaks"})
    hidden = [{"key": item["id"], "name": "plugin quarantined", "severity": "ticket", "untold": True}]
    body = {"matchers": ['plugin=~"cs."', 'tenant=""']}
    seen = api.post("silences/preview", body)["hides"]
    assert [{key: row[key] for key in hidden[0]} for row in seen] == hidden
    begin = collector.collector.health.now() + timedelta(hours=1)
    told = {**body, "seconds": 60, "comment": "maintenance", "owner": "storage", "starts_at": f"{begin.isoformat()}Z"}
    made = api.post("silences", told)
    assert (made["state"], made["owner"], made["matchers"]) == ("pending", "storage", ['plugin=~"cs."', 'tenant=""'])
    assert made["hides"] == seen
    longer = api.post(f"silences/{made['id']}/extend", {"seconds": 60, "reason": "it takes longer"})
    assert longer["ends_at"] == f"{(begin + timedelta(seconds=120)).isoformat()}Z"
    assert [row["id"] for row in api.get("silences")] == [made["id"]]
    api.post(f"silences/{made['id']}/end", {"reason": "it is done"})
    assert api.get("silences") == []
    (ended,) = api.get("silences", ended_hours=1)
    assert (ended["id"], ended["state"], ended["owner"]) == (made["id"], "expired", "storage")


def test_moments_that_utc_does_not_have_are_refused(collector: Running) -> None:
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        body = {"matchers": {"plugin": "csv"}, "seconds": 60, "comment": "known", "starts_at": moment}
        assert httpx2.post(f"{collector.url}/api/v1/silences", json=body).status_code == 422
        theirs = {"matchers": [{"name": "plugin", "value": "csv", "isRegex": False}], "startsAt": moment, "endsAt": moment,
                  "createdBy": "ann", "comment": "known"}  # fmt: skip
        assert httpx2.post(f"{collector.url}/api/v2/silences", json=theirs).status_code in (400, 422)


@pytest.mark.parametrize(
    ("matchers", "why"),
    [
        (["plugin=~("], "no pattern"),
        (["plugin"], "write NAME"),
        (["tenant!=x"], "must not match an empty value"),
        ([], "at least 1"),
    ],
)
def test_matchers_that_cannot_be_used_are_refused_with_what_to_write(
    collector: Running, matchers: list[str], why: str
) -> None:
    for path, more in (("silences/preview", {}), ("silences", {"seconds": 60, "comment": "known"})):
        with pytest.raises(ApiError, match=why) as refused:
            collector.api.post(path, {"matchers": matchers, **more})
        assert refused.value.status == 422


def test_an_acknowledgement_is_sealed_and_kept_over_a_restart(tmp_path: Path) -> None:
    with running(tmp_path / "data", judging=False) as collector:
        item = collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "it leaks"})
        body = {"subject": item["id"], "seconds": 600, "reason": "on it"}
        made = collector.api.post("acknowledgements", body)
        assert collector.api.get("audit", stream="decisions")[0]["kind"] == "acknowledged"
        with pytest.raises(ApiError, match="plugwarden alerts") as unknown:
            collector.api.post("acknowledgements", {**body, "subject": "q-none"})
        assert unknown.value.status == 404
    with running(tmp_path / "data", judging=False) as collector:
        assert collector.api.get("acknowledgements") == [made]
        assert collector.api.get("audit/verify")["valid"]


def test_incidents_and_conditions_of_the_collector_are_acknowledged_as_alerts_are(collector: Running) -> None:
    at = collector.collector.warden.standing.copy()
    began = utc_now() - timedelta(minutes=1)
    cause = Incident("i-1", "downstream:db", "db hurts csv", ("csv", "geo"), began, seen_at=began + timedelta(days=1))
    at.incidents["i-1"] = cause
    collector.collector.warden.act(lambda _, now: (at, Changes(at=now, incidents=[cause])))
    health = collector.collector.health
    health.close()
    name, condition = next(iter(health.conditions.items()))
    firing = replace(condition.alert, state=AlertState.FIRING, firing_at=began)
    health.conditions[name] = replace(condition, alert=firing)

    def known() -> list[str | None]:
        (incident,) = collector.api.get("alerts")["incidents"]
        row = next(row for row in collector.api.get("health")["conditions"] if row["name"] == name)
        return [incident["acknowledged_by"], row["acknowledged_by"]]

    assert known() == [None, None]
    for subject in ("i-1", firing.fingerprint):
        collector.api.post("acknowledgements", {"subject": subject, "seconds": 600, "reason": "on it"})
    assert known() == ["local operator", "local operator"]
    health.conditions[name] = replace(condition, alert=replace(firing, firing_at=utc_now()))
    assert known() == ["local operator", None], "it began anew"
    assert {item.known_until is not None for item in health.subjects()} == {False}


def test_a_silence_marks_its_alerts_and_can_be_taken_back(collector: Running) -> None:
    alert = {"labels": {"alertname": "DiskFull", "plugin": "csv"}, "startsAt": "2026-01-01T00:00:00Z"}
    httpx2.post(f"{collector.url}/api/v2/alerts", json=[alert])
    made = collector.api.post(
        "silences", {"matchers": {"plugin": "csv"}, "seconds": 60, "comment": "known", "actor": "ann"}
    )
    assert collector.api.get("alerts")["alerts"][0]["silenced_by"] == made["id"]
    assert [item["id"] for item in collector.api.get("silences")] == [made["id"]]
    collector.api.post(f"silences/{made['id']}/end", {"reason": "fixed"})
    assert collector.api.get("alerts")["alerts"][0]["silenced_by"] is None
    assert [item["kind"] for item in collector.api.get("audit", stream="decisions")] == ["unsilenced", "silenced"]
    with pytest.raises(ApiError, match="matchers"):
        collector.api.post("silences", {"matchers": {}, "seconds": 60, "comment": "everything"})


def test_directives_are_held_until_there_is_news(collector: Running) -> None:
    current = collector.api.get("directives")
    parameters = {"after": current["revision"], "epoch": current["epoch"], "wait": 0.2}
    assert httpx2.get(f"{collector.url}/api/v1/directives", params=parameters).status_code == 204
    other_epoch = httpx2.get(f"{collector.url}/api/v1/directives", params={**parameters, "epoch": "old", "wait": 30})
    assert other_epoch.status_code == 200
    # Nobody can know a later revision: whoever does was lied to, and is told at once.
    deafened = httpx2.get(f"{collector.url}/api/v1/directives", params={**parameters, "after": 2**53 - 1, "wait": 30})
    assert deafened.json()["revision"] == current["revision"]


def test_directives_stream_as_events(collector: Running) -> None:
    with httpx2.stream("GET", f"{collector.url}/api/v1/directives/stream", timeout=10) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("id: ")
        assert next(lines) == "event: directives"


def test_a_frozen_automation_takes_nothing_down(collector: Running, sidecar: Sidecar) -> None:
    collector.api.post("automation", {"frozen": True, "reason": "release day"})

    def fail() -> None:
        raise OSError

    bad = sidecar.wrap(fail, plugin="csv", version="2", operation="x", breaker=False, fallback=lambda: None)
    decision = while_calling(
        bad, lambda: next((item for item in collector.api.get("audit") if item["kind"] == "prevented"), None)
    )
    assert "release day" in decision["reason"]
    assert [item["state"] for item in collector.api.get("quarantine")] == ["degraded"]
    assert collector.api.get("status")["frozen"] == "release day"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("POST", "query", {"sql": "drop table meta"}, 400, "only reads"),
        ("POST", "query", {"sq": "select 1"}, 422, "sql"),
        ("POST", "quarantine", {"plugin": "csv"}, 422, "reason"),
        ("POST", "quarantine", {"plugin": "csv", "reason": " "}, 422, "reason"),
        ("GET", "quarantine/forecast", None, 422, "plugin"),
        ("GET", "quarantine/forecast?plugin=csv&version=%00", None, 422, "version"),
        ("POST", "quarantine/q-none/release", {"reason": "because"}, 404, "q-none"),
        ("POST", "quarantine/q-none/approve", {"reason": "because"}, 404, "q-none"),
        ("POST", "quarantine/q-none/decline", {"reason": "because"}, 404, "q-none"),
        ("POST", "quarantine/q-1/release", {"reason": "because", "override_seconds": 1e9}, 422, "override_seconds"),
        ("POST", "quarantine/q-1/approve", {"reason": "because", "override_seconds": 1}, 422, "override_seconds"),
        ("GET", "plugins/nosuch", None, 404, "nosuch"),
        ("GET", "traces/xyz", None, 422, "32 hex digits"),
        ("GET", f"traces/{'0' * 32}", None, 404, "no trace"),
        ("GET", "plugins?since=yesterday", None, 422, "since"),
        ("GET", "nothing", None, 404, "Not Found"),
    ],
)
def test_errors_are_problem_documents_that_name_the_field(
    shared: Running, method: str, path: str, body: Any, status: int, word: str
) -> None:
    answer = httpx2.request(method, f"{shared.url}/api/v1/{path}", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert word in answer.json()["detail"]


def test_a_query_answers_as_json_and_as_arrow(shared: Running) -> None:
    body = {"sql": "select $a::integer as a, timestamp '2026-01-01' as t", "params": {"a": 7}}
    answer = httpx2.post(f"{shared.url}/api/v1/query", json=body).json()
    assert (answer["columns"], answer["rows"], answer["truncated"]) == (
        ["a", "t"],
        [[7, "2026-01-01T00:00:00Z"]],
        False,
    )
    assert shared.api.query("select 1 as a").to_pylist() == [{"a": 1}]


def test_tokens_open_only_their_scopes(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("viewer read viewer-token-0123456789\n# a comment\nhost ingest hosts-token-0123456789\n")
    with running(tmp_path / "data", PLUGWARDEN_TOKENS_FILE=str(tokens)) as collector:

        def ask(token: str, method: str, path: str, **options: Any) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return httpx2.request(method, f"{collector.url}/api/v1/{path}", headers=headers, **options).status_code

        viewer, host = "viewer-token-0123456789", "hosts-token-0123456789"
        assert ask(viewer, "GET", "plugins") == 200
        assert ask(viewer, "POST", "quarantine", json={"plugin": "a", "reason": "because"}) == 403
        assert ask(viewer, "GET", "directives") == 403
        assert ask(host, "GET", "directives") == 200
        assert ask(host, "GET", "plugins") == 403
        assert ask("wrong", "GET", "plugins") == 401
        assert httpx2.get(f"{collector.url}/livez").status_code == 200


def test_a_token_that_ingests_does_not_operate(tmp_path: Path) -> None:
    people, host = "p" * 32, "h" * 32
    with running(tmp_path / "data", PLUGWARDEN_TOKEN=people, PLUGWARDEN_INGEST_TOKEN=host) as collector:

        def ask(token: str, method: str, path: str, **options: Any) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return httpx2.request(method, f"{collector.url}/api/v1/{path}", headers=headers, **options).status_code

        isolate = {"plugin": "evil", "reason": "steals", "force": True}
        assert ask(people, "POST", "quarantine", json=isolate) == 201
        reason = {"reason": "fixed upstream"}
        for method, path, body in (
            ("GET", "quarantine", None),
            ("POST", "quarantine", isolate),
            ("POST", "quarantine/q-1/release", reason),
            ("POST", "quarantine/q-1/approve", reason),
            ("POST", "quarantine/q-1/decline", reason),
            ("GET", "quarantine/running", None),
            ("GET", "quarantine/forecast?plugin=csv", None),
            ("POST", "automation", {"frozen": True, **reason}),
            ("POST", "query", {"sql": "select 1"}),
            ("POST", "silences", {}),
            ("GET", "audit", None),
            ("GET", "backup", None),
        ):
            assert ask(host, method, path, json=body) == 403, path
        assert ask(host, "GET", "directives") == 200
        sent = httpx2.post(
            f"{collector.http}/v1/traces",
            content=b"",
            headers={"authorization": f"Bearer {host}", "content-type": "application/x-protobuf"},
        )
        assert sent.status_code == 200


def test_a_token_for_directives_alone_sends_nothing(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"gateway directives {'g' * 20}\nhost ingest,directives {'h' * 20}\n")
    book = read_tokens({"PLUGWARDEN_TOKENS_FILE": str(tokens)})
    gateway, host = (book.principal(f"Bearer {letter * 20}") for letter in "gh")
    assert gateway is not None
    assert host is not None
    assert (gateway.may("directives"), gateway.may("ingest"), gateway.may("read")) == (True, False, False)
    assert (host.may("directives"), host.may("ingest"), host.may("operate")) == (True, True, False)


def test_a_hosts_token_is_not_that_of_people() -> None:
    with pytest.raises(SettingsError, match="PLUGWARDEN_INGEST_TOKEN: is the same"):
        read_tokens({"PLUGWARDEN_TOKEN": "x" * 20, "PLUGWARDEN_INGEST_TOKEN": "x" * 20})
    with pytest.raises(SettingsError, match="PLUGWARDEN_INGEST_TOKEN: a token has at least"):
        read_tokens({"PLUGWARDEN_INGEST_TOKEN": "short"})


async def _open(settings: Settings) -> None:
    async with open_app(settings):
        pass


def test_a_web_page_elsewhere_cannot_speak_to_a_collector_without_tokens(shared: Running) -> None:
    answer = httpx2.get(f"{shared.url}/api/v1/quarantine", headers={"host": "evil.example"})
    assert answer.status_code == 400
    answer = httpx2.post(f"{shared.http}/v1/traces", headers={"host": "evil.example"})
    assert answer.status_code == 400


def test_an_open_door_without_a_token_does_not_start(tmp_path: Path) -> None:
    settings = Settings(tmp_path, api=Address("0.0.0.0", 0))
    with pytest.raises(SettingsError, match="PLUGWARDEN_TOKEN"):
        settings.check()


def test_prometheus_can_scrape_us_and_push_alerts_to_us(collector: Running) -> None:
    text = httpx2.get(f"{collector.url}/metrics").text
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"plugwarden_ticks", "plugwarden_queued_bytes", "plugwarden_database_bytes"} <= names
    assert f"\nplugwarden_native_decoding {float(native.available())}\n" in text
    alert = {
        "labels": {"alertname": "DiskFull", "plugin": "csv", "severity": "page"},
        "annotations": {"summary": "full"},
    }
    answer = httpx2.post(f"{collector.url}/api/v2/alerts", json=[{**alert, "startsAt": "2026-01-01T00:00:00Z"}])
    assert answer.status_code == 200
    (row,) = collector.api.get("alerts")["alerts"]
    assert (row["name"], row["state"], row["source"], row["summary"]) == ("DiskFull", "firing", "prometheus", "full")


def test_the_openapi_document_describes_every_route(shared: Running) -> None:
    document = httpx2.get(f"{shared.url}/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route.get("description"), f"{method} {path} says nothing about itself"


def test_rules_are_read_again_as_a_whole_or_not_at_all(collector: Running, rules: Path) -> None:
    warden = collector.collector.warden
    rules.write_text(RULES.replace("0.99", "0.95"))
    warden.reload(rules)
    assert collector.api.get("rules")["objectives"][0]["target_ratio"] == 0.95
    rules.write_text("nonsense")
    with pytest.raises(Exception, match="TOML"):
        warden.reload(rules)
    assert collector.api.get("rules")["objectives"][0]["target_ratio"] == 0.95


def test_no_collector_is_said_so() -> None:
    from plugwarden_collector.api.client import CollectorClient

    with CollectorClient("http://127.0.0.1:9") as client, pytest.raises(Unreachable, match="no collector answers"):
        client.get("status")


def test_a_plugins_page_shows_a_call_before_any_tick_has_counted_it(collector: Running, sidecar: Sidecar) -> None:
    with collector.collector.warden._lock:  # no tick from here on
        sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")()
        assert sidecar.flush()
        assert collector.api.get("plugins/csv")["calls"] == 1
