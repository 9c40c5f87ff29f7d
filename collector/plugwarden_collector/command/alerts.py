"""`plugwarden alerts`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import DEFAULT_URL, AsJson, Url, client
from .output import clean, clock, console, emit_json, prose, show

__all__ = ["alerts"]


def alerts(
    url: Url = DEFAULT_URL,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List alerts and open incidents."""
    with client(url) as api:
        found = api.get("alerts")
    if as_json:
        emit_json(found)
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
