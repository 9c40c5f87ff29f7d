"""`plugwarden slos`: objectives, what is left of their budgets, how fast they burn, and what stands on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import budget, number, percent, times
from plugwarden_collector.rules.pattern import matches

from .options import DEFAULT_URL, AsJson, Since, Url, client
from .output import clean, clock, emit_json, fail, paragraph, prose, show

__all__ = ["slos"]

MOST_HISTORIES = 20
"""Budgets, those with the least left, of which it is told how they were spent: each is a question of its own."""


def slos(
    name: Annotated[str | None, typer.Argument(help="One objective, in detail.")] = None,
    plugin: Annotated[str | None, typer.Option(help="Budgets of this plugin alone.")] = None,
    since: Since = "1h",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List error budgets, those with the least left first; of one objective also versions, windows, alerts and corrections.

    With --json and a name, also how the twenty with the least left were spent over their period, and their burn rates since --since.
    """

    def wanted(row: Mapping[str, Any]) -> bool:
        return name in (None, row["slo"]) and plugin in (None, row["plugin_id"])

    with client(url) as api:
        objectives = api.get("rules")["objectives"]
        known = {row["name"] for row in objectives}
        if name is not None and name not in known:
            fail(f"the rules have no objective {name!r}; they have {', '.join(sorted(known))}")
        found: dict[str, Any] = {
            "objectives": [row for row in objectives if name in (None, row["name"])],
            "budgets": sorted(filter(wanted, api.get("budgets")), key=_left),
        }
        if name is not None:
            found["versions"] = sorted(filter(wanted, api.get("slos")), key=_left)
            found["alerts"] = [row for row in api.get("alerts")["alerts"] if row["state"] != "inactive" and wanted(row)]
            found["corrections"] = [row for row in api.get("corrections") if matches(row["objectives"], name)]
            if as_json:
                told = found["budgets"][:MOST_HISTORIES]
                found["histories"] = [
                    api.get(("plugins", row["plugin_id"], "budgets", name), since=since) for row in told
                ]
    if as_json:
        emit_json(found)
        return
    show(
        found["budgets"],
        {"slo": "objective", "plugin_id": "plugin", "sli": "SLI", "objective": ("target", percent), "sli_value": ("measured", percent),
         "bad": ("bad", number), "total": ("of", number), "budget_remaining_ratio": ("left", budget),
         "fast_burn_rate": ("burn rate", times), "exhausted_in_seconds": ("empty in", duration)},
        empty="no error budget was judged yet",
    )  # fmt: skip
    for row in found["objectives"]:
        unknown = [item for item in row["no_limit"] if plugin in (None, item)]
        if unknown:
            paragraph(f"\n{clean(row['name'])}: no limit known of {clean(', '.join(unknown))}, and so no budget")
    if name is not None:
        _show_detail(found)


def _show_detail(found: Mapping[str, Any]) -> None:
    show(
        found["versions"],
        {"plugin_id": "plugin", "plugin_version": "version", "bad": ("bad", number), "total": ("of", number),
         "budget_remaining_ratio": ("left", budget), "fast_burn_rate": ("burn rate", times)},
        title="\nBy version",
        empty="\nno version was judged yet",
    )  # fmt: skip
    show(
        [tier for row in found["objectives"] for tier in row["tiers"]],
        {"severity": "tier", "long_seconds": ("long window", duration), "short_seconds": ("short window", duration),
         "factor": ("limit", times), "bad_ratio": ("fails at", percent), "spent_in_seconds": ("budget gone in", duration)},
        title="\nToo fast is a burn rate above the limit in both windows",
        empty="\nit has no windows",
    )  # fmt: skip
    show(
        found["alerts"],
        {"fingerprint": "id", "plugin_id": "plugin", "plugin_version": "version", "state": "state", "severity": "severity",
         "firing_at": ("since", clock), "summary": ("summary", prose)},
        title="\nAlerts",
        empty="\nno alert stands on it",
    )  # fmt: skip
    if not found["corrections"]:
        paragraph("\nnothing is left out of it")
    for row in found["corrections"]:
        paragraph(f"\n{clean(row['id'])} {clock(row['starts_at'])} to {clock(row['ends_at'])} UTC is left out")
        paragraph(
            f"of plugins {clean(row['plugins'])}, by {clean(row['created_by'])}: {clean(row['reason'])}", indent=2
        )


def _left(row: Mapping[str, Any]) -> float:
    """Return what is left of a budget, to sort by; one without calls is whole."""
    left = row["budget_remaining_ratio"]
    return 1.0 if left is None else float(left)
