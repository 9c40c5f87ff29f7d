"""`plugwarden dashboards`, and `plugwarden up`, which runs them beside a collector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plugwarden_collector.named_path import folder_to_make, rules_to_read

from .options import DEFAULT_URL, AsJson, Data, Rules, Url
from .output import emit_json

__all__ = ["dashboards", "up"]


def dashboards(
    address: Annotated[str, typer.Option("--address", help="HOST:PORT to listen on.")] = "127.0.0.1:8501",
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="A name that browsers reach them by, beside localhost; everyone then brings a token."),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Run the dashboards until Ctrl-C."""
    if as_json:
        emit_json({"event": "starting", "dashboards": f"http://{address}", "collector": url})
    from .processes import exec_dashboards

    exec_dashboards(address, url, host_name or [])


def up(
    data: Data = Path("data"),
    rules: Rules = None,
    as_json: AsJson = False,
) -> None:
    """Run collector and dashboards together until Ctrl-C."""
    from .processes import run_up

    folder_to_make("--data", data)
    if rules is not None:
        rules_to_read("--rules", rules)
    run_up(data, rules, as_json)
