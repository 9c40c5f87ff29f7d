"""Rules of Prometheus for objectives on the metrics that sidecars serve: recordings and alerts as Sloth makes them, for each plugin.

Names of recordings and labels are Sloth's, so that what is drawn and alerted on its rules works on these. What Prometheus does not get are
`min_events` and `min_failures`: a plugin with little traffic is alerted on for a single failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import PAGE, TICKET, Tier

from .promql import WINDOW, queries_of
from .sloth import service_of, sloth_id

__all__ = ["prometheus_rules", "window_text"]

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_RECORD = "slo:sli_error:ratio_rate"


def prometheus_rules(objectives: Iterable[Objective]) -> dict[str, Any]:
    """Return the rule groups of some objectives."""
    return {"groups": [group for item in objectives for group in _groups(item)]}


def window_text(seconds: float) -> str:
    """Return a length as Prometheus writes it, to the millisecond."""
    rest, text = round(seconds * 1000), ""
    for unit, size in _UNITS:
        number, rest = divmod(rest, size)
        text += f"{number}{unit}" if number else ""
    return text


def _groups(objective: Objective) -> list[dict[str, Any]]:
    service = service_of(objective)
    identity = sloth_id(objective)
    mine = {"sloth_id": identity, "sloth_service": service, "sloth_slo": objective.name}
    labels = ({"owner": objective.owner} if objective.owner else {}) | dict(objective.labels) | mine
    selector = "{" + ", ".join(f'{key}="{_escaped(value)}"' for key, value in mine.items()) + "}"
    return [
        {"name": f"sloth-slo-sli-recordings-{identity}", "rules": _recordings(objective, labels, selector)},
        {"name": f"sloth-slo-meta-recordings-{identity}", "rules": _meta(objective, labels, selector)},
        {
            "name": f"sloth-slo-alerts-{identity}",
            "rules": [_alert(objective, kind, labels, selector) for kind in (PAGE, TICKET)],
        },
    ]


def _recordings(objective: Objective, labels: dict[str, str], selector: str) -> list[dict[str, Any]]:
    queries = queries_of(objective)
    sizes = sorted(size for size in objective.windows if size != objective.period_seconds)
    rules = [
        {
            "record": f"{_RECORD}{window}",
            "expr": f"({queries.bad})\n/\n({queries.total})".replace(WINDOW, window),
            "labels": labels | {"sloth_window": window},
        }
        for window in map(window_text, sizes)
    ]
    period, shortest = window_text(objective.period_seconds), f"{_RECORD}{window_text(sizes[0])}{selector}"
    expr = f"sum_over_time({shortest}[{period}])\n/ ignoring (sloth_window)\ncount_over_time({shortest}[{period}])"
    return [*rules, {"record": f"{_RECORD}{period}", "expr": expr, "labels": labels | {"sloth_window": period}}]


def _meta(objective: Objective, labels: dict[str, str], selector: str) -> list[dict[str, Any]]:
    sizes, period = objective.windows, window_text(objective.period_seconds)
    join = "\n/ on(sloth_id, sloth_slo, sloth_service) group_left\n"
    budget = f"slo:error_budget:ratio{selector}"
    found = {
        "slo:objective:ratio": f"vector({objective.target_ratio!r})",
        "slo:error_budget:ratio": f"vector(1-{objective.target_ratio!r})",
        "slo:time_period:days": f"vector({objective.period_seconds / 86_400!r})",
        "slo:current_burn_rate:ratio": f"{_RECORD}{window_text(sizes[0])}{selector}{join}{budget}",
        "slo:period_burn_rate:ratio": f"{_RECORD}{period}{selector}{join}{budget}",
        "slo:period_error_budget_remaining:ratio": f"1 - slo:period_burn_rate:ratio{selector}",
    }
    return [{"record": record, "expr": expr, "labels": labels} for record, expr in found.items()]


def _alert(objective: Objective, severity: str, labels: dict[str, str], selector: str) -> dict[str, Any]:
    tiers = [_met(tier, objective, selector) for tier in objective.tiers if tier.severity == severity]
    waits = {"for": objective.for_seconds, "keep_firing_for": objective.keep_firing_seconds}
    name = objective.display_name or objective.name
    page = "runbook_url" if objective.runbook.startswith(("http://", "https://")) else "runbook"
    texts = {
        "summary": f"{{{{$labels.plugin_id}}}} burns the error budget of {_shown(name)} too fast.",
        "title": f"({severity}) {{{{$labels.plugin_id}}}} {_shown(name)}",
        "description": _shown(objective.description),
        page: _shown(objective.runbook),
    }
    return {
        "alert": "PluginBudgetBurn",
        "expr": "\nor ignoring (sloth_window)\n".join(tiers),
        **{key: window_text(seconds) for key, seconds in waits.items() if seconds},
        # Those of an alert are templates, those of a recording are not.
        "labels": {key: _shown(value) for key, value in labels.items()}
        | {"severity": severity, "sloth_severity": severity},
        "annotations": {key: text for key, text in texts.items() if text},
    }


def _met(tier: Tier, objective: Objective, selector: str) -> str:
    limit = f"({tier.factor:.12g} * (1 - {objective.target_ratio!r}))"
    parts = (f"({_RECORD}{window_text(size)}{selector} > {limit})" for size in (tier.short_seconds, tier.long_seconds))
    return "(\n" + "\nand ignoring (sloth_window)\n".join(parts) + "\n)"


def _escaped(text: str) -> str:
    """Return a text as it stands in the quotes of a query."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _shown(text: str) -> str:
    """Return a text that Prometheus expands as a template: nothing of it is one."""
    return re.sub(r"\{\{", '{{"{{"}}', text)
