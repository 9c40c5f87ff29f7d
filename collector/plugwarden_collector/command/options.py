"""Options that several commands share, and the client they lead to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import fail

if TYPE_CHECKING:
    from plugwarden_collector.api.client import CollectorClient

__all__ = [
    "DEFAULT_URL",
    "Actor",
    "AsJson",
    "Data",
    "Reason",
    "ReasonIfActing",
    "Rules",
    "Since",
    "Url",
    "client",
    "seconds_of",
]

Url = Annotated[str, typer.Option("--url", envvar="PLUGWARDEN_COLLECTOR_URL", help="The collector's HTTP API.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the database.")]
Rules = Annotated[Path | None, typer.Option("--rules", help="Rules file, or a folder of some.")]
Since = Annotated[str, typer.Option("--since", help='How far back: "15m", "6h", or ISO 8601.')]
Reason = Annotated[str, typer.Option("--reason", help="Why; goes into the audit log.")]
ReasonIfActing = Annotated[str | None, typer.Option("--reason", help="Why; goes into the audit log.")]
"""`--reason` of commands that only list when they are asked for nothing more."""
Actor = Annotated[str | None, typer.Option("--actor", help="On whose behalf.", envvar="USER")]
DEFAULT_URL = "http://127.0.0.1:8420"


def client(url: str, timeout_seconds: float = 20.0) -> CollectorClient:
    """Return the client of the collector that commands talk to, with the token of the environment."""
    from plugwarden_collector.api.client import CollectorClient

    return CollectorClient(url, token=os.environ.get("PLUGWARDEN_TOKEN"), timeout=timeout_seconds)


def seconds_of(option: str, text: str | None) -> float | None:
    """Return the seconds of a duration that was typed; ends the command, naming the option, where it is none."""
    from plugwarden_collector.rules.duration import seconds

    try:
        return None if text is None else seconds(text)
    except ValueError as error:
        fail(f"{option}: {error}", 2)
