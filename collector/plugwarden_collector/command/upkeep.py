"""`plugwarden aside`: what could not be counted; `plugwarden retention`: what is too much to be deleted by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import DEFAULT_URL, AsJson, Url, client
from .output import clean, clock, console, emit_json, fail, number, percent, prose, show

__all__ = ["register"]

Reason = Annotated[str | None, typer.Option("--reason", help="Why; goes into the audit log.")]
Actor = Annotated[str | None, typer.Option("--actor", help="On whose behalf.", envvar="USER")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(aside)
    app.command()(retention)


def aside(
    retry: Annotated[str | None, typer.Option("--retry", metavar="ID", help="Count it after all.")] = None,
    drop: Annotated[str | None, typer.Option("--drop", metavar="ID", help="Give it up: it is never counted.")] = None,
    reason: Reason = None,
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
        console.print(f"{clean(identity)}: {'counted' if act == 'retry' else 'given up'}, {number(found['rows'])} rows")
    else:
        show(
            found,
            {"id": "id", "time": ("set aside", clock), "service_name": ("service", prose), "plugin_id": ("plugin", prose),
             "what": "what", "rows": ("rows", number), "error": ("why", prose)},
            empty="nothing is set aside",
        )  # fmt: skip


def retention(
    allow: Annotated[bool, typer.Option("--allow", help="Let go of what waits, once.")] = False,
    reason: Reason = None,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List deletions that are too large to happen without a person; allow them, once."""
    if allow and reason is None:
        fail("--allow: say why with --reason")
    with client(url) as api:
        found = api.post("retention/allow", {"reason": reason, "actor": actor}) if allow else api.get("retention")
    if as_json:
        emit_json(found)
        return
    show(
        found,
        {"view": "view", "rows": ("rows", number), "share_ratio": ("of all", percent), "before": ("from before", clock)},
        empty="no deletion waits for a person",
    )  # fmt: skip
    if allow:
        console.print("\nallowed once: they go within a minute")
