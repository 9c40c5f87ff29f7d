"""The OpenAPI document: complete enough to generate a client from, and true of every answer (tests/collector/support/documented.py)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

import httpx2
import pytest
from plugwarden import Sidecar
from plugwarden_collector.api import models
from plugwarden_collector.api.models import alerts
from plugwarden_collector.clock import utc_now
from plugwarden_collector.store.views import stable_views

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.documented import Answer, document, faults

ALERT = """
[[alert]]
name = "traces"
kind = "sql"
sql = "select count(*) as value from spans"
above = 2
recover = { below = 1 }
no_data = "alert"
labels = { tier = "2" }
[[upstream]]
name = "payments"
upstreams = "payments-*"
objective = 0.99
[[maintenance]]
name = "nightly"
reason = "the import fills the queue"
matchers = { plugin = "import" }
from = "23:30"
for = "4h"
zone = "Europe/Berlin"
[[policy.pushed]]
name = "slow"
matchers = ['alertname="PluginSlow"']
"""

OPERATIONS = {
    "aside": "GET /api/v1/aside",
    "aside_drop": "POST /api/v1/aside/{identity}/drop",
    "aside_retry": "POST /api/v1/aside/{identity}/retry",
    "alert_rules": "GET /api/v1/alert-rules",
    "alerts": "GET /api/v1/alerts",
    "alertmanager_alerts": "GET /api/v2/alerts",
    "alertmanager_end_silence": "DELETE /api/v2/silence/{identity}",
    "alertmanager_groups": "GET /api/v2/alerts/groups",
    "alertmanager_one_silence": "GET /api/v2/silence/{identity}",
    "alertmanager_receivers": "GET /api/v2/receivers",
    "alertmanager_silence": "POST /api/v2/silences",
    "alertmanager_silences": "GET /api/v2/silences",
    "alertmanager_status": "GET /api/v2/status",
    "approve": "POST /api/v1/quarantine/{identity}/approve",
    "audit": "GET /api/v1/audit",
    "audit_accept": "POST /api/v1/audit/accept",
    "audit_entry": "GET /api/v1/audit/{sequence}",
    "audit_head": "GET /api/v1/audit/head",
    "audit_replay": "GET /api/v1/audit/{sequence}/replay",
    "audit_verify": "GET /api/v1/audit/verify",
    "automation": "POST /api/v1/automation",
    "backup": "GET /api/v1/backup",
    "caller": "GET /api/v1/caller",
    "capacity": "GET /api/v1/capacity",
    "forecast": "GET /api/v1/capacity/forecast",
    "showback": "GET /api/v1/capacity/showback",
    "store_growth": "GET /api/v1/capacity/store",
    "until_full": "GET /api/v1/capacity/full",
    "utilisation": "GET /api/v1/capacity/utilisation",
    "what_if": "GET /api/v1/capacity/what-if",
    "changes": "GET /api/v1/changes",
    "correct": "POST /api/v1/corrections",
    "corrections": "GET /api/v1/corrections",
    "end_correction": "POST /api/v1/corrections/{identity}/end",
    "one_upstream": "GET /api/v1/upstreams/{upstream}",
    "upstreams": "GET /api/v1/upstreams",
    "withdraw": "POST /api/v1/corrections/{identity}/withdraw",
    "decline": "POST /api/v1/quarantine/{identity}/decline",
    "directive_stream": "GET /api/v1/directives/stream",
    "directives": "GET /api/v1/directives",
    "end_silence": "POST /api/v1/silences/{identity}/end",
    "fleet_series": "GET /api/v1/series",
    "livez": "GET /livez",
    "metrics": "GET /metrics",
    "own_health": "GET /api/v1/health",
    "plugin": "GET /api/v1/plugins/{plugin_id}",
    "plugin_series": "GET /api/v1/plugins/{plugin_id}/series",
    "plugins": "GET /api/v1/plugins",
    "push_alerts": "POST /api/v2/alerts",
    "push_notice": "POST /api/v1/pushed/alertmanager",
    "quarantine": "POST /api/v1/quarantine",
    "quarantine_forecast": "GET /api/v1/quarantine/forecast",
    "quarantines": "GET /api/v1/quarantine",
    "query": "POST /api/v1/query",
    "readyz": "GET /readyz",
    "release": "POST /api/v1/quarantine/{identity}/release",
    "retention": "GET /api/v1/retention",
    "retention_allow": "POST /api/v1/retention/allow",
    "rules": "GET /api/v1/rules",
    "runbook": "GET /api/v1/alerts/{identity}/runbook",
    "running_calls": "GET /api/v1/quarantine/running",
    "acknowledge": "POST /api/v1/acknowledgements",
    "acknowledgements": "GET /api/v1/acknowledgements",
    "extend_silence": "POST /api/v1/silences/{identity}/extend",
    "silence": "POST /api/v1/silences",
    "silence_preview": "POST /api/v1/silences/preview",
    "logs": "GET /api/v1/logs",
    "notifications": "GET /api/v1/notifications",
    "give_up": "POST /api/v1/notifications/give-up",
    "silences": "GET /api/v1/silences",
    "slos": "GET /api/v1/slos",
    "budget": "GET /api/v1/plugins/{plugin_id}/budgets/{slo}",
    "budgets": "GET /api/v1/budgets",
    "status": "GET /api/v1/status",
    "trace": "GET /api/v1/traces/{trace_id}",
    "traces": "GET /api/v1/traces",
}
"""What generated clients call the routes: a name that changes breaks them."""
ENDLESS = {"directive_stream"}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One with something of everything: calls and failures, alerts of both kinds, a quarantine, a silence."""
    folder = tmp_path_factory.mktemp("openapi")
    (folder / "rules.toml").write_text(RULES + ALERT)
    with running(folder / "data", folder / "rules.toml") as found:
        sidecar = Sidecar(
            service="host",
            endpoint=found.http,
            collector_url=found.url,
            export_interval_seconds=0.2,
            trace_ratio=1.0,
        )
        fails = sidecar.wrap(_fails, plugin="csv", version="1", operation="export", breaker=False, bulkhead=8)
        for _ in range(60):
            with pytest.raises(ZeroDivisionError):
                fails()
        with sidecar.invocation("csv", version="1", operation="pay"), sidecar.downstream("payments-db"):
            pass
        until = time.monotonic() + 60
        while not (
            found.api.get("alerts")["history"]
            and found.api.get("traces", plugin="csv")
            and found.api.get("slos")
            and found.api.get("upstreams")["upstreams"]
        ):
            assert time.monotonic() < until, "no alert, trace or budget in time"
            time.sleep(0.1)
        item = found.api.post(
            "quarantine", {"force": True, "plugin": "geo", "reason": "it leaks", "hold_seconds": 3600}
        )
        found.api.post("acknowledgements", {"subject": item["id"], "seconds": 600, "reason": "known"})
        found.api.post("silences", {"matchers": {"plugin": "geo"}, "seconds": 600, "comment": "known"})
        span = {"starts_at": f"{utc_now():%Y-%m-%d}T00:00Z", "ends_at": f"{utc_now():%Y-%m-%d}T00:01Z"}
        found.api.post("corrections", {**span, "plugins": "nobody", "reason": "known"})
        push = [{"labels": {"alertname": "HostDown", "plugin": "csv"}}]
        assert httpx2.post(f"{found.url}/api/v2/alerts", json=push).status_code == 200
        assert httpx2.post(f"{found.url}/api/v2/alerts", json=[*push, {}]).status_code == 400
        sidecar.close(timeout=10)
        yield found


def _fails() -> None:
    raise ZeroDivisionError("always")


def client_of(described: Mapping[str, Any], url: str) -> Mapping[str, Callable[..., httpx2.Response]]:
    """A client as a generator makes it from the document alone: a function an operation, parameters by their names."""

    def call(method: str, template: str, operation: Mapping[str, Any]) -> Callable[..., httpx2.Response]:
        places = {item["name"]: item["in"] for item in operation.get("parameters", ())}

        def called(**given: Any) -> httpx2.Response:
            path = template.format(**{name: value for name, value in given.items() if places[name] == "path"})
            query = {name: value for name, value in given.items() if places[name] == "query"}
            return httpx2.request(method.upper(), url + path, params=query, timeout=30)

        return called

    return {
        operation["operationId"]: call(method, path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def test_each_operation_keeps_its_name(collector: Running) -> None:
    described = httpx2.get(f"{collector.url}/openapi.json", timeout=30).json()
    found = {
        operation["operationId"]: f"{method.upper()} {path}"
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert found == OPERATIONS


def test_each_operation_says_what_it_takes_and_answers(collector: Running) -> None:
    described = httpx2.get(f"{collector.url}/openapi.json", timeout=30).json()
    known = {item["name"] for item in described["tags"]}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            name = operation["operationId"]
            assert set(operation["tags"]) <= known, name
            assert operation["description"], name
            done = {status: item for status, item in operation["responses"].items() if status < "300"}
            assert done, name
            if path.startswith("/api/") and name not in {"backup", "directive_stream"}:
                json_schema = done["201" if "201" in done else "200"]["content"]["application/json"]["schema"]
                assert "$ref" in json_schema.get("items", json_schema), name
            problems = [item for status, item in operation["responses"].items() if status >= "400"]
            assert problems, name
            kind = "application/json" if path.startswith("/api/v2/") else "application/problem+json"
            assert all(list(item["content"]) == [kind] for item in problems), name
            assert ("requestBody" in operation) == (method == "post"), name


def test_all_that_is_referred_to_is_there(collector: Running) -> None:
    text = httpx2.get(f"{collector.url}/openapi.json", timeout=30).text
    schemas = json.loads(text)["components"]["schemas"]
    found = [part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]]
    assert set(found) <= set(schemas)
    assert not [
        name for name, schema in schemas.items() if schema["type"] == "object" and not schema.get("description")
    ]


def test_a_client_made_from_the_document_reads_all_there_is_to_read(collector: Running) -> None:
    client = client_of(httpx2.get(f"{collector.url}/openapi.json", timeout=30).json(), collector.url)
    traces = client["traces"](plugin="csv").json()
    values = {
        "budget": {"plugin_id": "csv", "slo": "availability"},
        "plugin": {"plugin_id": "csv"},
        "runbook": {"identity": collector.api.get("quarantine")[0]["id"]},
        "plugin_series": {"plugin_id": "csv"},
        "trace": {"trace_id": traces[0]["trace_id"]},
        "alertmanager_one_silence": {"identity": client["silences"]().json()[0]["id"]},
        "one_upstream": {"upstream": "payments-db"},
        "audit_entry": {"sequence": 1},
        "audit_replay": {"sequence": 1},
        "quarantine_forecast": {"plugin": "csv"},
        "forecast": {"plugin": "csv"},
    }
    reading = {name for name, place in OPERATIONS.items() if place.startswith("GET ")} - ENDLESS
    answers = {name: client[name](**values.get(name, {})) for name in reading}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(reading, 200)
    rows = {name: answer.json() for name, answer in answers.items() if "json" in answer.headers["content-type"]}
    empty = {name for name, found in rows.items() if found == []}
    # There is no receiver in these rules, and so no group of anybody's.
    assert empty == {"aside", "retention", "alertmanager_receivers", "alertmanager_groups"}, (
        "a list without rows shows no fault of a row"
    )
    assert rows["budget"]["spenders"]
    assert rows["one_upstream"]["budgets"]
    assert rows["one_upstream"]["plugins"]
    alerts_now = rows["alerts"]
    assert {item["source"] for item in alerts_now["alerts"]} == {"plugwarden", "prometheus"}
    assert rows["plugin"]["errors"]
    assert rows["plugin"]["failing_traces"]
    assert rows["plugin_series"]["latency"]
    assert rows["trace"]["spans"]


ROWS: Mapping[str, tuple[type, set[str]]] = {
    "plugin_budgets": (models.Budget, {"state", "alerts"}),
    "slo_status": (models.SloRow, set()),
    "alerts": (alerts.AlertRow, {"silenced_by", "acknowledged_by", "acknowledged_until"}),
    "alert_events": (alerts.AlertEventRow, set()),
    "incidents": (alerts.IncidentRow, {"acknowledged_by", "acknowledged_until"}),
    "quarantines": (models.QuarantineRow, {"inconclusive"}),
    "decisions": (models.AuditEntry, {"stream", "facts"}),
    "changes": (models.ChangeRow, set()),
}
"""View -> its rows as they are sent, and what is added to them."""


@pytest.mark.parametrize("view", ROWS)
def test_a_row_that_is_sent_is_the_row_of_its_view(view: str) -> None:
    kind, added = ROWS[view]
    columns = {column.name: bool(column.null) for column in stable_views()[view].columns}
    hints = get_type_hints(kind)
    sent = {item.name: "None" in str(hints[item.name]) for item in fields(kind) if item.name not in added}
    assert sent == columns, "names, and whether they may be null"


def test_a_plugin_that_has_a_budget_and_made_no_call_is_answered_whole(collector: Running) -> None:
    past = {"since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}
    answer = httpx2.get(f"{collector.url}/api/v1/plugins/csv", params=past, timeout=30)
    found = answer.json()
    assert found["slos"]
    assert found["budgets"]
    assert (found["calls"], found["failed"], found["ran"], found["failed_ratio"], found["last_at"]) == (
        0,
        0,
        0,
        None,
        None,
    )
    assert not list(faults(Answer("GET", "/api/v1/plugins/csv", 200, "application/json", answer.content)))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('{"epoch": "e", "revision": 1}', "'directives' is a required property"),
        ('{"epoch": "e", "revision": 1, "directives": [], "more": 1}', "'more' was unexpected"),
        ('{"epoch": "e", "revision": "1", "directives": []}', "'1' is not of type 'integer'"),
        ("[]", "[] is not of type 'object'"),
        ("{", "is no JSON"),
    ],
)
def test_an_answer_that_is_not_as_described_is_seen(collector: Running, body: str, fault: str) -> None:
    answer = Answer("GET", "/api/v1/directives", 200, "application/json", body.encode())
    assert [fault in found for found in faults(answer)] == [True]
    assert not list(faults(Answer("GET", "/api/v1/directives", 204, "", b"")))


def test_a_status_that_nobody_described_is_seen(collector: Running) -> None:
    assert list(faults(Answer("GET", "/api/v1/slos", 206, "application/json", b"[]")))
    assert list(faults(Answer("GET", "/api/v1/slos", 200, "text/html", b"")))
    assert document()["openapi"].startswith("3.1")
