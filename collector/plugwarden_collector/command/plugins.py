"""`plugwarden plugins`: all of them, or one in detail."""

from __future__ import annotations

from typing import Annotated

import typer

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import budget, number, percent

from .options import DEFAULT_URL, AsJson, Since, Url, client
from .output import clean, clock, console, emit_json, prose, show

__all__ = ["plugins"]


def plugins(
    plugin: Annotated[str | None, typer.Argument(help="One plugin, in detail.")] = None,
    url: Url = DEFAULT_URL,
    since: Since = "15m",
    as_json: AsJson = False,
) -> None:
    """List plugins with their state, latency and error budget."""
    with client(url) as api:
        found = api.get("plugins" if plugin is None else ("plugins", plugin), since=since)
    if as_json:
        emit_json(found)
        return
    rows = found if plugin is None else [found]
    show(
        [row for row in rows if "failed" in row],
        {
            "plugin_id": "plugin",
            "state": "state",
            "calls_per_second": ("calls/s", number),
            "failed_ratio": ("failed", percent),
            "p50_seconds": ("p50", duration),
            "p99_seconds": ("p99", duration),
            "budget_remaining_ratio": ("budget", budget),
            "versions": ("versions", prose),
        },
        empty=f"no plugin has made a call within {since}",
    )
    if plugin is None:
        return
    if found["why"]:
        console.print(f"\nwhy: {clean(found['why'])}")
    budgets = [{**row, "plugin_version": "all"} for row in found["budgets"]]
    show(
        sorted([*budgets, *found["slos"]], key=lambda row: row["slo"]),
        {"slo": "objective", "plugin_version": "version", "objective": ("target", percent), "period_seconds": ("over", duration),
         "period_ends_at": ("until", clock), "excluded_seconds": ("left out", duration),
         "sli": "SLI", "bad": ("bad", number), "total": ("of", number), "budget_remaining_ratio": ("left", budget)},
        title="\nError budgets",
        empty="\nno error budget was judged yet",
    )  # fmt: skip
    show(
        found["operations"],
        {"plugin_version": "version", "plugin_operation": "operation", "calls": ("calls", number),
         "failed": ("failed", number), "rejected": ("refused", number), "mean_seconds": ("mean", duration)},
        title="\nOperations",
    )  # fmt: skip
    show(
        found["errors"],
        {"plugin_version": "version", "error_type": "error", "error_source": "blamed on", "calls": ("calls", number)},
        title="\nErrors",
        empty="\nno errors",
    )
