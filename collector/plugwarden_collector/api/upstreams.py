"""What the API says about upstreams, made from their counts, the standing state and the rules. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.decide.upstream import UPSTREAM, is_cause_of, is_upstream
from plugwarden_collector.judge.budget_state import budget_state
from plugwarden_collector.judge.burn import budget, fastest_window, rate_of
from plugwarden_collector.judge.sli import NO_CALLS
from plugwarden_collector.judge.upstreams import UpstreamCounts, by_upstream, period_seconds, together
from plugwarden_collector.rules.upstream import Upstream
from plugwarden_collector.store.calls import UpstreamCalls

__all__ = ["budgets_of", "upstreams_answer"]


def budgets_of(
    rule: Upstream, counts: Iterable[UpstreamCounts], standing: Standing, at: datetime
) -> dict[str, dict[str, Any]]:
    """Return what is left of an objective's budget, by upstream; `counts` are of its period and its fastest window."""
    alerts = _firing(standing)
    objective, period, fastest = rule.objective, period_seconds(rule, at), fastest_window(rule.objective)
    found = {}
    for name, parts in by_upstream(rule, counts).items():
        windows = together(parts, (period, fastest))
        left = budget(objective, windows.get(period, NO_CALLS))
        on = (item for item in alerts if item.detail.get("objective") == objective.name and item.more[UPSTREAM] == name)
        found[name] = {
            "slo": objective.name, "sli": objective.sli, "objective": objective.target_ratio, "owner": objective.owner,
            "period_seconds": objective.period_seconds, "total": left.total, "bad": left.bad, "sli_value": left.sli_ratio,
            "budget_remaining_ratio": left.remaining_ratio, "fast_burn_rate": rate_of(objective, windows.get(fastest, NO_CALLS)),
            "state": budget_state(objective, left, burning=any(not item.exhausted for item in on)),
        }  # fmt: skip
    return found


def upstreams_answer(
    rows: Sequence[UpstreamCalls], budgets: Sequence[Mapping[str, dict[str, Any]]], standing: Standing
) -> list[dict[str, Any]]:
    """Return each upstream with who calls it and what is known of it, in the order of its row."""
    alerts = _firing(standing)
    plugins: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row.plugin_id is not None:
            part = _counts(row) | {"plugin_id": row.plugin_id, "service_name": row.service_name or ""}
            plugins.setdefault(row.upstream, []).append(part | {"last_failed_at": row.last_failed_at})
    found = []
    for row in rows:
        if row.plugin_id is None:
            # An upstream whose budget is spent may be well now.
            mine = [item for item in alerts if item.more[UPSTREAM] == row.upstream and not item.exhausted]
            causes = [item for item in standing.incidents.values() if is_cause_of(item, row.upstream)]
            own = [item[row.upstream] for item in budgets if row.upstream in item]
            found.append(
                {"upstream": row.upstream, **_counts(row), "last_at": row.last_at, "plugins": plugins.get(row.upstream, [])}
                | _trouble(mine, causes)
                | {"owners": sorted({item["owner"] for item in own if item["owner"]}), "budgets": own}
            )  # fmt: skip
    return found


def _firing(standing: Standing) -> list[AlertRecord]:
    return [
        item for item in list(standing.alerts.values()) if is_upstream(item) and item.alert.state is AlertState.FIRING
    ]


def _counts(row: UpstreamCalls) -> dict[str, Any]:
    return {
        "calls": row.calls, "failed": row.failed, "failed_ratio": row.failed / row.calls if row.calls else None,
        "mean_seconds": row.mean_seconds, "p99_seconds": row.p99_seconds,
    }  # fmt: skip


def _trouble(alerts: Sequence[AlertRecord], causes: Sequence[Incident]) -> dict[str, Any]:
    """Return since when something says that an upstream is not well, and what: pages before tickets."""
    since = [item.alert.firing_at for item in alerts if item.alert.firing_at is not None]
    since += [item.started_at for item in causes]
    told = min(alerts, key=lambda item: (item.severity, item.alert.fingerprint), default=None)
    return {
        "degraded_since": min(since, default=None),
        "alert": None if told is None else told.alert.fingerprint,
        "incident": causes[0].id if causes else None,
    }
