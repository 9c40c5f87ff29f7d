"""`plugwarden quarantines`, `quarantine` and `release`."""

from __future__ import annotations

from typing import Annotated

import typer

from plugwarden_collector.figures import percent

from .options import DEFAULT_URL, Actor, AsJson, Reason, Url, client
from .output import clean, console, emit_json, fail, prose, show

__all__ = ["quarantine", "quarantines", "release"]


def quarantines(
    url: Url = DEFAULT_URL,
    everything: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List quarantines."""
    with client(url) as api:
        found = api.get("quarantine")
    if as_json:
        emit_json(found)
        return
    show(
        [row for row in found if everything or row["ended_at"] is None],
        {"id": "id", "plugin_id": "plugin", "plugin_version": "version", "state": "state",
         "share_ratio": ("share", percent), "reason": ("why", prose)},
        empty="nothing is quarantined",
    )  # fmt: skip


def quarantine(
    plugin: str,
    reason: Reason,
    version: Annotated[str | None, typer.Option(help="One version only.")] = None,
    operation: Annotated[str | None, typer.Option(help="One operation only.")] = None,
    hold: Annotated[str | None, typer.Option(help='Begin probation after this long, such as "1h".')] = None,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Take a plugin out of service, in all hosts."""
    from plugwarden_collector.rules.file import seconds as parse_seconds

    try:
        hold_seconds = None if hold is None else parse_seconds(hold)
    except ValueError as error:
        fail(f"--hold: {error}")
    body = {"plugin": plugin, "version": version, "operation": operation, "reason": reason,
            "hold_seconds": hold_seconds, "actor": actor}  # fmt: skip
    with client(url) as api:
        answer = api.post("quarantine", body)
    if as_json:
        emit_json(answer)
    else:
        console.print(
            f"{clean(answer['scope'])} is quarantined; undo with: plugwarden release {answer['id']} --reason …"
        )


def release(
    identity: Annotated[str, typer.Argument(metavar="ID", help="From `plugwarden quarantines`.")],
    reason: Reason,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """End a quarantine."""
    with client(url) as api:
        answer = api.post(("quarantine", identity, "release"), {"reason": reason, "actor": actor})
    if as_json:
        emit_json(answer)
    else:
        console.print(f"{clean(answer['scope'])} is released")
