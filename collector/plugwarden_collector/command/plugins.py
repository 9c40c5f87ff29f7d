"""`plugwarden plugins`: all of them, or one in detail."""

from __future__ import annotations

from typing import Annotated

import typer

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import budget, number, percent

from .options import DEFAULT_URL, AsJson, Since, Url, client
from .output import emit_json, prose, show
from .plugin_detail import show_plugin

__all__ = ["plugins"]


def plugins(
    plugin: Annotated[str | None, typer.Argument(help="One plugin, in detail.")] = None,
    url: Url = DEFAULT_URL,
    since: Since = "15m",
    as_json: AsJson = False,
) -> None:
    """List plugins with their state, latency and error budget."""
    with client(url) as api:
        if plugin is None:
            found = api.get("plugins", since=since)
        else:
            detail = api.get(("plugins", plugin), since=since)
            alerts, held = api.get("alerts")["alerts"], api.get("quarantine")
            found = {
                **detail,
                "alerts": [row for row in alerts if row["plugin_id"] == plugin and row["state"] != "inactive"],
                "quarantines": [row for row in held if row["plugin_id"] == plugin and row["ended_at"] is None],
            }
    if as_json:
        emit_json(found)
        return
    show(
        [row for row in (found if plugin is None else [found]) if "failed" in row],
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
    if plugin is not None:
        show_plugin(found)
