"""`plugwarden quarantines`, `quarantine`, `approve`, `decline` and `release`."""

from __future__ import annotations

from typing import Annotated

import typer

from plugwarden_collector.figures import percent

from .drain import Isolated, wait_for
from .forecast import DryRun, Yes, agree, needed, scope_of, show_forecast
from .options import DEFAULT_URL, Actor, AsJson, Reason, ReasonIfActing, Url, client, seconds_of
from .output import clean, console, emit_json, prose, say, show

__all__ = ["approve", "decline", "quarantine", "quarantines", "release"]

Identity = Annotated[str, typer.Argument(metavar="ID", help="From `plugwarden quarantines`.")]
For = Annotated[
    str | None,
    typer.Option(
        "--for", help='How long the automation leaves it alone, such as "2h"; at most 7d. None: as the policy says.'
    ),
]


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
    reason: ReasonIfActing = None,
    version: Annotated[str | None, typer.Option(help="One version only.")] = None,
    operation: Annotated[str | None, typer.Option(help="One operation only.")] = None,
    hold: Annotated[str | None, typer.Option(help='Begin probation after this long, such as "1h".')] = None,
    force: Annotated[bool, typer.Option("--force", help="Isolate it though nobody has called it so far.")] = False,
    drain: Annotated[bool, typer.Option("--drain", help="Wait until none of its calls runs any more.")] = False,
    timeout: Annotated[str, typer.Option(help="How long to wait for that.")] = "5m",
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Take a plugin out of service, in all hosts: no call begins any more, and those that run are let end.

    At a terminal it says before what that would cost, and asks.
    """
    hold_seconds = seconds_of("--hold", hold)
    timeout_seconds = seconds_of("--timeout", timeout) or 0.0
    scope = {"plugin": plugin, "version": version, "operation": operation}
    with client(url) as api:
        if dry_run:
            show_forecast(api, scope, as_json)
            return
        body = {**scope, "reason": needed(reason), "hold_seconds": hold_seconds, "actor": actor, "force": force}
        agree(api, lambda: scope, yes=yes, as_json=as_json)
        answer = api.post("quarantine", body)
        if not as_json:
            _isolated(answer)
        if drain:
            wait_for(api, Isolated(answer["id"], answer["scope"], answer), timeout_seconds, as_json)
        elif as_json:
            emit_json(answer)


def approve(
    identity: Identity,
    reason: ReasonIfActing = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Follow a suggestion: isolate what it names, as the automation would have."""
    with client(url) as api:
        if dry_run:
            show_forecast(api, scope_of(api, identity), as_json)
            return
        body = {"reason": needed(reason), "actor": actor}
        agree(api, lambda: scope_of(api, identity), yes=yes, as_json=as_json)
        answer = api.post(("quarantine", identity, "approve"), body)
    if as_json:
        emit_json(answer)
    else:
        _isolated(answer)


def decline(
    identity: Identity,
    reason: Reason,
    length: For = None,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """End a suggestion: the automation leaves what it names alone for a while."""
    _end(identity, "decline", "stays in service; the suggestion is declined", reason, length, actor, url, as_json)


def release(
    identity: Identity,
    reason: Reason,
    length: For = None,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """End a quarantine: the automation leaves its scope alone for a while."""
    _end(identity, "release", "is released", reason, length, actor, url, as_json)


def _end(
    identity: str,
    act: str,
    done: str,
    reason: str,
    length: str | None,
    actor: str | None,
    url: str,
    as_json: bool,
) -> None:
    body = {"reason": reason, "override_seconds": seconds_of("--for", length), "actor": actor}
    with client(url) as api:
        answer = api.post(("quarantine", identity, act), body)
    if as_json:
        emit_json(answer)
    else:
        console.print(f"{clean(answer['scope'])} {done}")


def _isolated(answer: dict[str, str | None]) -> None:
    say(f"{clean(answer['scope'])} is quarantined")
    console.print(f"undo with: plugwarden release {answer['id']} --reason …", soft_wrap=True)  # whole, to be copied
    if answer.get("forecast"):
        say(clean(answer["forecast"]))
    if answer.get("warning"):
        say(f"It is isolated all the same, for when it comes: {clean(answer['warning'])}")
