"""Upstreams in a running collector: named by what plugins tell, told with their own objective, and over."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden_collector.api.refusals import ApiError
from rich.cells import cell_len

from tests.collector.conftest import Running, running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.hooks import Hook
from tests.collector.support.span_request import PROTOBUF
from tests.collector.support.still_clock import StillClock
from tests.collector.support.waiting import eventually

RULES = """
[[slo]]
name = "works"
objective = 0.99
period = "1d"
[policy]
enforcement = "enforce"
[[upstream]]
name = "payments"
upstreams = "payments-*"
objective = 0.99
period = "30d"
owner = "money"
runbook = "https://wiki.example/payments"
labels = { tier = "1" }
services = "shop*"
"""


def call(
    collector: Running,
    clock: StillClock,
    plugin: str,
    calls: int,
    failed: int,
    upstream: str = "payments-db",
    service: str = "shop",
    *,
    late_seconds: float = 0.0,
) -> None:
    """Let a plugin tell what it waited for just now, or `late_seconds` before; its own calls are well."""
    counted = "select coalesce(sum(calls), 0) from upstream_calls"
    before = collector.scalar(counted)
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    for key, text in (
        ("service.name", service),
        ("service.instance.id", "h1"),
        ("telemetry.distro.name", "plugwarden"),
    ):
        resource.resource.attributes.add(key=key).value.string_value = text
    scope = resource.scope_metrics.add()
    at = int((clock.at - timedelta(seconds=1 + late_seconds)).replace(tzinfo=UTC).timestamp() * 1e9)
    for name, outcomes in (
        ("plugin.invocation.duration", {"success": calls}),
        ("plugin.downstream.duration", {"success": calls - failed, "error": failed}),
    ):
        told = scope.metrics.add(name=name, unit="s").exponential_histogram
        told.aggregation_temporality = 1
        for outcome, count in outcomes.items():
            if not count:
                continue
            point = told.data_points.add(
                time_unix_nano=at, start_time_unix_nano=at - 10**9, count=count, scale=4, sum=0.1 * count
            )
            point.positive.offset = -54  # 0.1 s
            point.positive.bucket_counts.append(count)
            labels = {"plugin.id": plugin, "plugin.version": "1", "plugin.operation": "pay", "plugin.outcome": outcome}
            if name == "plugin.downstream.duration":
                labels["plugin.downstream"] = upstream
            for key, text in labels.items():
                point.attributes.add(key=key).value.string_value = text
    answer = httpx2.post(f"{collector.http}/v1/metrics", content=message.SerializeToString(), headers=PROTOBUF)
    assert answer.status_code == 200, answer.text
    eventually(lambda: collector.scalar(counted) == before + calls)


def looked(collector: Running, clock: StillClock, seconds: float = 15.0) -> list[dict[str, Any]]:
    """Let time pass, and return the alerts after every burn rate was looked at then."""
    clock.move(seconds)
    rules = collector.collector.warden.rules.alerts
    looks = collector.collector.watching.looks
    eventually(lambda: all(rule.name in looks and (rule.spent or looks[rule.name].at == clock.at) for rule in rules))
    assert [look.error for look in looks.values()] == [None] * len(rules)
    found: list[dict[str, Any]] = collector.api.get("alerts")["alerts"]
    return found


def rules(folder: Path, *more: str) -> Path:
    """Write the rules."""
    file = folder / "rules.toml"
    file.write_text(RULES + "".join(more))
    return file


def test_an_upstream_that_fails_is_told_as_such_with_who_answers_for_it(tmp_path: Path) -> None:
    hook, clock = Hook(), StillClock()
    told = f'[[receiver]]\nname = "pager"\nurl = "{hook.url}"\nseverities = ["page"]\n'
    with running(tmp_path / "data", rules(tmp_path, told), clock=clock) as collector:
        call(collector, clock, "csv", 100, 0)
        call(collector, clock, "geo", 100, 0, "maps")
        assert looked(collector, clock) == []
        (maps, payments) = sorted(collector.api.get("upstreams")["upstreams"], key=lambda item: item["upstream"])
        assert (maps["upstream"], maps["budgets"], maps["owners"]) == ("maps", [], [])
        assert (payments["degraded_since"], payments["alert"], payments["budgets"][0]["budget_remaining_ratio"]) == (
            None,
            None,
            1.0,
        )
        assert payments["p99_seconds"] == pytest.approx(0.1, rel=0.03)
        call(collector, clock, "csv", 100, 60)
        call(collector, clock, "pdf", 100, 40)
        call(collector, clock, "elsewhere", 100, 100, service="lab")
        page, ticket = sorted(looked(collector, clock), key=lambda item: str(item["severity"]))
        assert (page["name"], ticket["name"]) == ("payments upstream budget burn", "payments upstream slow burn")
        assert page["labels"] == {
            "alertname": "payments upstream budget burn", "severity": "page", "upstream": "payments-db", "owner": "money", "tier": "1",
        }  # fmt: skip
        assert (page["plugin_id"], page["state"]) == (None, "firing")
        assert "100 of 300 calls failed (33.3 %)" in page["summary"]
        assert page["detail"]["plugins"] == {"csv": {"bad": 60, "calls": 200}, "pdf": {"bad": 40, "calls": 100}}
        sent = eventually(lambda: hook.got)[0].body["alerts"][0]
        assert sent["labels"]["upstream"] == "payments-db"
        assert "isolating them does not help" in sent["annotations"]["description"]
        assert sent["annotations"]["runbook_url"] == "https://wiki.example/payments"
        one = collector.api.get(("upstreams", "payments-db"))
        assert (one["alert"], one["owners"], one["failed"]) == (page["fingerprint"], ["money"], 200)
        assert one["degraded_since"] is not None
        assert {item["plugin_id"]: item["failed"] for item in one["plugins"]} == {
            "csv": 60,
            "pdf": 40,
            "elsewhere": 100,
        }
        (budget,) = one["budgets"]
        assert (budget["total"], budget["bad"]) == (300, 100), "calls of hosts that it is not about are not in it"
        assert budget["budget_remaining_ratio"] == pytest.approx(1 - 100 / 3)
        text = collector.api.get(("alerts", page["fingerprint"], "runbook"))["text"]
        assert "Plugins that see it fail: csv, pdf." in text
        assert "Do not isolate the plugins that call it" in text
        assert "plugwarden upstreams payments-db" in text
        assert "- money" in text
        assert collector.api.get("quarantine") == []
        call(collector, clock, "geo2", 100, 50)
        more = next(item for item in looked(collector, clock) if item["severity"] == "page")
        assert sorted(more["detail"]["plugins"]) == ["csv", "geo2", "pdf"], (
            "who suffers is kept up to date while it fires"
        )
        with pytest.raises(ApiError, match="no plugin has called 'nothing' in that time"):
            collector.api.get(("upstreams", "nothing"))
    hook.stop()


def test_it_is_over_when_calls_go_well_again_and_is_held_while_none_come(tmp_path: Path) -> None:
    clock = StillClock()
    clock.at -= timedelta(hours=20)  # what is dated ahead of the machine's own clock counts as of now
    with running(tmp_path / "data", rules(tmp_path), clock=clock) as collector:
        call(collector, clock, "csv", 100, 60)
        looked(collector, clock)
        for hours in (0.3, 0.6, 0.5, 5.0, 12.0):  # longer than any window, and than what fires is kept firing
            states = {item["state"] for item in looked(collector, clock, hours * 3600.0)}
            assert states == {"firing"}, "no data is no recovery"
        page = next(item for item in collector.api.get("alerts")["alerts"] if item["severity"] == "page")
        assert "Nobody calls it since" in page["description"]
        for _ in range(4):
            clock.move(60.0)
            call(collector, clock, "csv", 5000, 0)
        looked(collector, clock)
        page = next(item for item in looked(collector, clock, 60.0) if item["severity"] == "page")
        assert page["state"] == "inactive"
    with running(tmp_path / "data", rules(tmp_path), clock=clock) as collector:
        assert next(item for item in looked(collector, clock) if item["severity"] == "page")["state"] == "inactive"


HOSTILE = "a\x1b[31m\u202eb\u200b\n[/red]" + "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 60


@pytest.mark.parametrize("name", [HOSTILE, "--json", "https://evil.example/@channel", "[bold]x[/bold]" * 12])
def test_the_command_prints_hostile_names_within_80_columns(tmp_path: Path, name: str) -> None:
    clock = StillClock()
    with running(tmp_path / "data", rules(tmp_path), clock=clock) as collector:
        call(collector, clock, "pdf", 100, 60, name)
        call(collector, clock, "csv", 100, 60, "payments-db")
        upstreams = [item["upstream"] for item in collector.api.get("upstreams", since="15m")["upstreams"]]
        (kept,) = set(upstreams) - {"payments-db"}
        since = f"{clock.at - timedelta(minutes=15):%Y-%m-%dT%H:%M:%S}Z"
        for arguments in ((), ("--", kept), ("--", "payments-db")):
            done = plugwarden("upstreams", "--since", since, *arguments, url=collector.url)
            assert done.returncode == 0, done.stderr
            assert not {"\x1b", "\u202e", "\u200b"} & set(done.stdout)
            wide = [line for line in done.stdout.splitlines() if cell_len(line) > 80]
            assert not wide
        listed = plugwarden("upstreams", "--since", since, "--json", url=collector.url)
        assert {item["upstream"] for item in json.loads(listed.stdout)["upstreams"]} == {kept, "payments-db"}
        one = plugwarden("upstreams", "--since", since, "--json", "--", kept, url=collector.url)
        assert json.loads(one.stdout)["upstream"] == kept


def test_waits_that_come_late_are_counted_once_in_their_minute(tmp_path: Path) -> None:
    """A recount from what was sent, minute by minute, over the folds of two hours."""
    clock, sent = StillClock(), Counter[tuple[Any, str]]()
    clock.at -= timedelta(hours=3)  # what is dated ahead of the machine's own clock counts as of now
    with running(tmp_path / "data", rules(tmp_path), clock=clock) as collector:
        for step in range(12):
            for late, calls, failed in ((0.0, 10 + step, step), (200.0, 7, 2), (4000.0, 5, 5)):
                call(collector, clock, "csv", calls, failed, late_seconds=late)
                minute = (clock.at - timedelta(seconds=1 + late)).replace(second=0, microsecond=0)
                sent[minute, "error"] += failed
                sent[minute, "success"] += calls - failed
            clock.move(601.0)
        minute = "date_trunc('minute', bucket_start) = $minute::timestamp and outcome = $outcome"
        counted = f"select coalesce(sum(calls), 0)::bigint from upstream_calls where {minute}"
        found = {key: collector.scalar(counted, minute=str(key[0]), outcome=key[1]) for key in sent}
        assert found == dict(sent)
        assert collector.scalar("select sum(calls)::bigint from upstream_calls") == sent.total()


def test_an_upstream_that_is_slow_is_told_by_its_latency(tmp_path: Path) -> None:
    slow = '[[upstream]]\nname = "quick"\nupstreams = "maps"\nobjective = 0.99\nsli = "latency"\nthreshold = "50ms"\n'
    clock = StillClock()
    with running(tmp_path / "data", rules(tmp_path, slow), clock=clock) as collector:
        call(collector, clock, "geo", 200, 0, "maps")
        found = {item["name"]: item["state"] for item in looked(collector, clock)}
        assert found == {"quick upstream budget burn": "firing", "quick upstream slow burn": "firing"}
        (budget,) = collector.api.get(("upstreams", "maps"))["budgets"]
        assert (budget["slo"], budget["total"], budget["bad"]) == ("quick", 200, 200)


def test_names_of_hundreds_of_bytes_are_counted_shown_and_cut_by_characters(tmp_path: Path) -> None:
    rules, clock = tmp_path / "rules.toml", StillClock()
    rules.write_text(RULES)
    plugin, sign = "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 150, "\N{CJK UNIFIED IDEOGRAPH-5B57}"
    with running(tmp_path / "data", rules, clock=clock) as collector:
        for length, failed in ((150, 4), (250, 5)):
            call(collector, clock, plugin, 10, failed, sign * length)
            shown = collector.api.get(f"upstreams/{quote(sign * length, safe='')}")
            assert (shown["upstream"], shown["calls"], shown["failed"]) == (sign * min(length, 200), 10, failed)
        assert {len(item["upstream"]) for item in collector.api.get("upstreams")["upstreams"]} == {150, 200}
        assert collector.api.get(f"plugins/{quote(plugin, safe='')}")["plugin_id"] == plugin
        assert collector.scalar("select sum(calls) from plugin_calls where length(plugin_id) = 150") == 20
