"""What the API says of an upstream: how its budget stands, and whether it is not well now."""

from __future__ import annotations

from typing import Any

from plugwarden_collector.api.upstreams import budgets_of, upstreams_answer
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.judge.upstreams import UpstreamCounts
from plugwarden_collector.rules.alert_rule import AlertRule
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.upstream import Upstream
from plugwarden_collector.rules.upstream_keys import alerts_of
from plugwarden_collector.store.calls import UpstreamCalls
from plugwarden_collector.watch.alarms import bring_forward
from plugwarden_collector.watch.upstream import burning

from tests.collector.support.still_clock import AT

OBJECTIVE = Objective("hosts", Sli.AVAILABILITY, 0.99, 30 * 86_400.0)
RULE = Upstream(OBJECTIVE, "*")
PAGE, SLOW, SPENT = alerts_of(RULE, "upstream[0]")
SIZES = sorted({*OBJECTIVE.windows, OBJECTIVE.period_seconds})


def calls(lately: CallCounts, period: CallCounts, name: str = "db") -> UpstreamCounts:
    """Return calls of an upstream in every window of its burn rates, and over its period."""
    return UpstreamCounts(name, "csv", "shop", dict.fromkeys(SIZES, lately) | {OBJECTIVE.period_seconds: period})


def told(counts: UpstreamCounts, *rules: AlertRule) -> Standing:
    """Return where things stand after one look of some of its alerts."""
    standing = Standing()
    for rule in rules:
        standing, _, _ = bring_forward(rule, burning(rule, [counts], at=AT), {}, standing, AT)
    return standing


def said(counts: UpstreamCounts, standing: Standing) -> dict[str, Any]:
    """Return what is said of an upstream."""
    row = UpstreamCalls(counts.upstream, None, None, 100, 0, 0.1, 0.1, None, AT)
    (answer,) = upstreams_answer([row], [budgets_of(RULE, [counts], standing, AT)], standing)
    return answer


def test_a_budget_burns_while_a_page_or_a_ticket_on_its_burn_rates_fires_and_is_its_own_upstreams_alone() -> None:
    much = calls(CallCounts(100, failed=90), CallCounts(100_000, failed=100))
    for rule in (PAGE, SLOW):
        answer = said(much, told(much, rule))
        assert [item["state"] for item in answer["budgets"]] == ["burning"]
        assert (answer["degraded_since"], answer["alert"] is None) == (AT, False)
    other = calls(CallCounts(100, failed=0), CallCounts(100_000, failed=100), "queue")
    answer = said(other, told(much, PAGE, SLOW))
    assert [item["state"] for item in answer["budgets"]] == ["kept"]
    assert answer["degraded_since"] is None


def test_an_upstream_whose_spent_budget_alone_is_told_is_well_now() -> None:
    """It spent it earlier in its period: the ticket stays for weeks, and nobody calls that degraded."""
    counts = calls(CallCounts(100, failed=0), CallCounts(1000, failed=500))
    standing = told(counts, PAGE, SLOW, SPENT)
    assert [item.name for item in standing.alerts.values()] == ["hosts upstream budget exhausted"]
    answer = said(counts, standing)
    assert (answer["degraded_since"], answer["alert"], answer["incident"]) == (None, None, None)
    assert [item["state"] for item in answer["budgets"]] == ["spent"]


def test_a_spent_ticket_that_still_fires_makes_nothing_burn_once_something_is_left_again() -> None:
    before = calls(CallCounts(100, failed=0), CallCounts(1000, failed=500))
    standing = told(before, SPENT)
    again = calls(CallCounts(100, failed=0), CallCounts(100_000, failed=500))
    assert [item["state"] for item in said(again, standing)["budgets"]] == ["kept"]
