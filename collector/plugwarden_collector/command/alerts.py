"""`plugwarden alerts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from plugwarden_collector.durations import duration

from .options import DEFAULT_URL, AsJson, Url, client
from .output import clean, clock, console, emit_json, prose, show

__all__ = ["alerts", "runbook"]


def alerts(
    url: Url = DEFAULT_URL,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    rules: Annotated[
        bool, typer.Option("--rules", help="The [[alert]] tables of the rules, and how each look went.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List alerts and open incidents."""
    with client(url) as api:
        found = api.get("alert-rules" if rules else "alerts")
    if as_json:
        emit_json(found)
        return
    if rules:
        _show_rules(found)
        return
    rows = [row for row in found["alerts"] if everything or row["state"] != "inactive"]
    show(
        rows,
        {
            "fingerprint": "id",
            "state": "state",
            "severity": "severity",
            "firing_at": ("since", clock),
            "inhibited_by": "covered by",
            "acknowledged_by": "known to",
            "summary": ("summary", prose),
        },
        empty="no alert is pending or firing",
    )
    for incident in found["incidents"]:
        if incident["ended_at"] is None:
            known = f", known to {clean(incident['acknowledged_by'])}" if incident["acknowledged_by"] else ""
            console.print(f"\nincident {incident['id']}{known}: {clean(incident['summary'])}", soft_wrap=True)


def runbook(
    identity: Annotated[
        str,
        typer.Argument(metavar="ALERT|QUARANTINE", help="Fingerprint of an alert, or id of a quarantine or incident."),
    ],
    url: Url = DEFAULT_URL,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown, with names escaped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what to do about an alert or a quarantine: what to look at, what to try, whom to ask, what was done already."""
    with client(url) as api:
        found = api.get(("alerts", identity, "runbook"))
    if as_json:
        emit_json(found)
    else:
        console.print(found["markdown" if markdown else "text"].rstrip(), soft_wrap=True)


def _show_rules(found: Sequence[Mapping[str, Any]]) -> None:
    """Print the alerts of the rules that rest on no objective."""
    show(
        found,
        {
            "name": "alert",
            "kind": "kind",
            "severity": "severity",
            "every_seconds": ("every", duration),
            "looked_at": ("looked at", clock),
            "found": "found",
            "pending": "pending",
            "firing": "firing",
        },
        empty="the rules have no [[alert]]",
    )
    for row in found:
        if row["error"] is not None:
            console.print(f"\n{clean(row['name'])} cannot be looked at: {clean(row['error'])}", soft_wrap=True)
