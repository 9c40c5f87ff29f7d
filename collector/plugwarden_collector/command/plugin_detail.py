"""One plugin in detail: why it stands as it does, what is open about it, its budgets, limits, operations and errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import budget, number, percent

from .output import clean, clock, paragraph, prose, show

__all__ = ["errors_of", "owners_of", "show_plugin"]

SUGGESTION = "degraded"
"""State of a scope that the automation has not isolated, and a person may."""


def show_plugin(found: Mapping[str, Any]) -> None:
    """Print a plugin, as `GET /api/v1/plugins/{id}` has it, with its open `alerts` and `quarantines`."""
    if owners := owners_of(found["objectives"]):
        paragraph(f"\nowner: {', '.join(map(clean, owners))}")
    if found["why"]:
        paragraph(f"\nwhy: {clean(found['why'])}")
    show(
        found["alerts"],
        {"fingerprint": "id", "state": "state", "severity": "severity", "firing_at": ("since", clock), "summary": ("summary", prose)},
        title="\nOpen alerts",
        empty="\nno alert is open",
    )  # fmt: skip
    suggested = [row for row in found["quarantines"] if row["state"] == SUGGESTION and row["enforcement"] == "suggest"]
    for title, rows, empty in (
        ("Quarantines", [row for row in found["quarantines"] if row not in suggested], "nothing of it is quarantined"),
        ("Suggestions", suggested, "nothing is suggested"),
    ):
        show(
            rows,
            {"id": "id", "plugin_version": "version", "plugin_operation": "operation", "state": "state",
             "share_ratio": ("share", percent), "started_at": ("since", clock), "reason": ("why", prose)},
            title=f"\n{title}",
            empty=f"\n{empty}",
        )  # fmt: skip
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
        [row for row in found["gate"] if row["timeout_seconds"] is not None or row["concurrency"] is not None],
        {"plugin_version": "version", "plugin_operation": "operation", "timeout_seconds": ("deadline", duration),
         "longest_seconds": ("longest", duration), "concurrency": ("at once", number), "most_running": ("most", number)},
        title="\nDeclared limits, and what was observed",
        empty="\nit declares no limits",
    )  # fmt: skip
    show(
        found["operations"],
        {"plugin_version": "version", "plugin_operation": "operation", "calls": ("calls", number),
         "failed": ("failed", number), "rejected": ("refused", number), "mean_seconds": ("mean", duration)},
        title="\nOperations",
        empty="\nno operation was called",
    )  # fmt: skip
    show(
        errors_of(found["errors"], found["failing_traces"]),
        {"error_type": "error", "error_source": "blamed on", "calls": ("calls", number), "first_at": ("first", clock),
         "last_at": ("last", clock), "versions": ("versions", prose), "message": ("message", prose), "trace_id": "trace"},
        title="\nErrors",
        empty="\nno errors",
    )  # fmt: skip


def errors_of(counted: Sequence[Mapping[str, Any]], failing: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return failures by type and whom they are blamed on, the latest first, each over all versions and with its newest example.

    Counts are of all calls; an example is there only where a trace of such a failure was kept among the newest.
    """
    groups: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in counted:
        groups[row["error_type"], row["error_source"]].append(row)
    examples: dict[str | None, Mapping[str, Any]] = {}
    for span in failing:
        examples.setdefault(span["error_type"], span)
    found = []
    for (kind, source), rows in groups.items():
        example = examples.get(kind, {})
        found.append(
            {
                "error_type": kind,
                "error_source": source,
                "calls": sum(row["calls"] for row in rows),
                "first_at": min(row["first_at"] for row in rows),
                "last_at": max(row["last_at"] for row in rows),
                "versions": sorted({row["plugin_version"] for row in rows}),
                "message": example.get("status_message"),
                "trace_id": example.get("trace_id"),
            }
        )
    return sorted(found, key=lambda row: row["last_at"], reverse=True)


def owners_of(objectives: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return who answers for a plugin: the owners of the objectives that are about it, each once."""
    return sorted({row["owner"] for row in objectives if row["owner"]})
