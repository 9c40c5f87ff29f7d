"""`plugwarden demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plugwarden_collector.named_path import folder_to_make

from .options import AsJson
from .output import fail

__all__ = ["demo"]


def demo(
    for_: Annotated[str | None, typer.Option("--for", help='End by itself after this long, such as "90s".')] = None,
    data: Annotated[Path | None, typer.Option(help="Keep the database here; none: a new one each time.")] = None,
    no_dashboards: Annotated[bool, typer.Option("--no-dashboards", help="Only collector and host.")] = False,
    port: Annotated[int, typer.Option(help="Of the dashboards; 0 picks a free one.")] = 8501,
    as_json: AsJson = False,
) -> None:
    """Show the whole loop on a real pipeline: a bad deployment, its quarantine, a slow downstream, the release."""
    if data is not None:
        folder_to_make("--data", data)
    try:
        from plugwarden_demo.story import run_demo
    except ModuleNotFoundError:
        fail("the demo host is not installed; run `make demo` in a checkout, or install plugwarden-demo")
    raise SystemExit(run_demo(for_, data, dashboards=not no_dashboards, port=port, as_json=as_json))
