"""`plugwarden notifications`: what receivers are owed, what was tried, and giving it up."""

from __future__ import annotations

from typing import Annotated

import typer

from plugwarden_collector.figures import counted

from .options import DEFAULT_URL, Actor, AsJson, Reason, Url, client
from .output import clean, clock, console, emit_json, prose, show

__all__ = ["notifications_app"]

notifications_app = typer.Typer(help="What people were told, and what receivers are still owed.")


@notifications_app.callback(invoke_without_command=True)
def notifications(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many attempts to list, the latest first.")] = 20,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List what receivers are owed, and the latest attempts to tell them."""
    if context.invoked_subcommand is not None:
        return
    with client(url) as api:
        found = api.get("notifications", limit=limit)
    if as_json:
        emit_json(found)
        return
    show(
        found["owed"],
        {"receiver": "receiver", "fingerprint": "about", "status": "owed", "since": ("since", clock), "severity": "severity",
         "attempts": "tried", "next_attempt_at": ("again at", clock),
         "summary": ("summary", prose)},
        empty="no receiver is owed anything",
    )  # fmt: skip
    console.print()
    show(
        found["attempts"],
        {"time": ("attempt", clock), "receiver": "receiver", "fingerprint": "about", "status": "result",
         "attempt": "number", "error": ("error", prose)},
        empty="nobody was told anything yet",
    )  # fmt: skip


@notifications_app.command("give-up")
def give_up(
    receiver: Annotated[str, typer.Argument(help="Name of the receiver in the rules.")],
    fingerprint: Annotated[str | None, typer.Argument(help="What it is about; none: all that it is owed.")] = None,
    *,
    reason: Reason,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Give up what a receiver is owed: nobody tells it any more."""
    body = {"receiver": receiver, "fingerprint": fingerprint, "reason": reason, "actor": actor}
    with client(url) as api:
        answer = api.post("notifications/give-up", body)
    if as_json:
        emit_json(answer)
    else:
        done = counted(len(answer["fingerprints"]), "subject")
        console.print(f"{clean(receiver)} is not told of {done} any more")
