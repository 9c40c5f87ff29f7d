"""Options that several commands share, and the client they lead to."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from plugwarden_collector.api.client import CollectorClient

__all__ = ["DEFAULT_URL", "AsJson", "Url", "client"]

Url = Annotated[str, typer.Option("--url", envvar="PLUGWARDEN_COLLECTOR_URL", help="The collector's HTTP API.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
DEFAULT_URL = "http://127.0.0.1:8420"


def client(url: str) -> CollectorClient:
    """The collector that commands talk to."""
    return CollectorClient(url, token=os.environ.get("PLUGWARDEN_TOKEN"))
