"""`plugwarden upstreams`: what plugins call that others answer for, all of it or one in detail."""

from __future__ import annotations

from typing import Annotated

import typer

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import budget, counted, number, percent

from .options import DEFAULT_URL, AsJson, Since, Url, client
from .output import clean, clock, console, emit_json, prose, say, show

__all__ = ["upstreams"]


def upstreams(
    upstream: Annotated[str | None, typer.Argument(help="One upstream, in detail.")] = None,
    url: Url = DEFAULT_URL,
    since: Since = "15m",
    as_json: AsJson = False,
) -> None:
    """List what plugins call that others answer for: calls, failures, who sees them, and what is left of its budget."""
    with client(url) as api:
        found = api.get("upstreams" if upstream is None else ("upstreams", upstream), since=since)
    if as_json:
        emit_json(found)
        return
    rows = found["upstreams"] if upstream is None else [found]
    show(
        [{**row, "seen_by": sorted({item["plugin_id"] for item in row["plugins"] if item["failed"]}),
          "left": min((item["budget_remaining_ratio"] for item in row["budgets"] if item["budget_remaining_ratio"] is not None),
                      default=None)} for row in rows],
        {"upstream": "upstream", "calls": ("calls", number), "failed_ratio": ("failed", percent), "p99_seconds": ("p99", duration),
         "degraded_since": ("not well since", clock), "left": ("budget", budget), "seen_by": ("seen failing by", prose)},
        empty=f"no plugin has named anything that it calls within {since}",
    )  # fmt: skip
    if upstream is None:
        if found["unnamed"]:
            plugins = ", ".join(map(clean, list(found["unnamed"])[:5]))
            calls = counted(sum(found["unnamed"].values()), "call")
            console.print()
            say(
                f"{calls} of {counted(len(found['unnamed']), 'plugin')} ({plugins}) failed by something that they depend on and do not "
                "name: name it by sidecar.downstream(NAME)"
            )
        return
    if found["incident"] or found["alert"]:
        console.print(f"\nplugwarden runbook {clean(found['alert'] or found['incident'])}")
    show(
        found["plugins"],
        {"plugin_id": "plugin", "service_name": "service", "calls": ("calls", number), "failed_ratio": ("failed", percent),
         "mean_seconds": ("mean", duration), "p99_seconds": ("p99", duration), "last_failed_at": ("last failure", clock)},
        title="\nWho calls it",
    )  # fmt: skip
    show(
        found["budgets"],
        {"slo": "objective", "owner": "owner", "objective": ("target", percent), "period_seconds": ("over", duration),
         "bad": ("bad", number), "total": ("of", number), "budget_remaining_ratio": ("left", budget)},
        title="\nError budgets",
        empty="\nno [[upstream]] of the rules covers it",
    )  # fmt: skip
