"""`plugwarden aside`: what could not be counted."""

from __future__ import annotations

from typing import Annotated

import typer

from plugwarden_collector.figures import counted, number

from .options import DEFAULT_URL, Actor, AsJson, ReasonIfActing, Url, client
from .output import clean, clock, console, emit_json, fail, prose, show

__all__ = ["aside"]


def aside(
    retry: Annotated[str | None, typer.Option("--retry", metavar="ID", help="Count it after all.")] = None,
    drop: Annotated[str | None, typer.Option("--drop", metavar="ID", help="Give it up: it is never counted.")] = None,
    reason: ReasonIfActing = None,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List rows that could not be counted and were set aside; have one tried again, or give it up."""
    if retry is not None and drop is not None:
        fail("--retry and --drop: give one of them")
    identity, act = (retry, "retry") if retry is not None else (drop, "drop")
    with client(url) as api:
        if identity is None:
            found = api.get("aside")
        elif reason is None:
            fail(f"--{act}: say why with --reason")
        else:
            found = api.post(("aside", identity, act), {"reason": reason, "actor": actor})
    if as_json:
        emit_json(found)
    elif identity is not None:
        console.print(
            f"{clean(identity)}: {'counted' if act == 'retry' else 'given up'}, {counted(found['rows'], 'row')}"
        )
    else:
        show(
            found,
            {"id": "id", "time": ("set aside", clock), "service_name": ("service", prose), "plugin_id": ("plugin", prose),
             "what": "what", "rows": ("rows", number), "error": ("why", prose)},
            empty="nothing is set aside",
        )  # fmt: skip
