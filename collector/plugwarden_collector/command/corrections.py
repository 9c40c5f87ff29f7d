"""`plugwarden corrections`: what is left out of error budgets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from .options import DEFAULT_URL, Actor, AsJson, Reason, Url, client
from .output import clean, clock, console, emit_json, fail, paragraph, say

__all__ = ["corrections_app"]

corrections_app = typer.Typer(help="Stretches of time that count in no error budget.", no_args_is_help=True)
Identity = Annotated[str, typer.Argument(metavar="ID", help="From `plugwarden corrections list`.")]


@corrections_app.command("list")
def corrections(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """List corrections that nobody took back."""
    with client(url) as api:
        found = api.get("corrections")
    if as_json:
        emit_json(found)
        return
    if not found:
        say("nothing is left out of budgets")
    for row in found:  # no table: an id that is to be copied is not broken
        about = ", ".join(f"{key} {clean(row[key])}" for key in ("plugins", "objectives", "owners") if row[key] != "*")
        paragraph(f"{clean(row['id'])} {clock(row['starts_at'])} to {clock(row['ends_at'])} UTC")
        paragraph(f"counts in no budget of {about or 'any'}", indent=2)
        paragraph(f"by {clean(row['created_by'])}: {clean(row['reason'])}", indent=2)


@corrections_app.command()
def add(
    starts_at: Annotated[str, typer.Option("--from", help="A full minute in ISO 8601, such as 2026-03-29T01:00Z.")],
    ends_at: Annotated[str, typer.Option("--until", help="Likewise; not part of it.")],
    reason: Reason,
    plugins: Annotated[str, typer.Option(help="A pattern of plugin ids.")] = "*",
    objectives: Annotated[str, typer.Option(help="A pattern of names of objectives.")] = "*",
    owners: Annotated[str, typer.Option(help="A pattern of owners of objectives.")] = "*",
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Leave a stretch of time out of error budgets and burn rates; a time without a zone is UTC, as of silences."""
    span = {"starts_at": _moment("--from", starts_at), "ends_at": _moment("--until", ends_at)}
    about = {"plugins": plugins, "objectives": objectives, "owners": owners}
    _act("corrections", {**about, **span, "reason": reason, "actor": actor}, "is left out", url, as_json)


@corrections_app.command()
def end(
    identity: Identity, reason: Reason, actor: Actor = None, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """End a correction that runs, with this minute."""
    _act(("corrections", identity, "end"), {"reason": reason, "actor": actor}, "is left out", url, as_json)


@corrections_app.command()
def withdraw(
    identity: Identity, reason: Reason, actor: Actor = None, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Take a correction back: what it left out counts again."""
    _act(("corrections", identity, "withdraw"), {"reason": reason, "actor": actor}, "counts again", url, as_json)


def _act(path: str | tuple[str, ...], body: dict[str, Any], done: str, url: str, as_json: bool) -> None:
    with client(url) as api:
        answer = api.post(path, body)
    if as_json:
        emit_json(answer)
        return
    span = f"{clock(answer['starts_at'])} to {clock(answer['ends_at'])}"
    console.print(f"{clean(answer['id'])}: {span} {done} of plugins {clean(answer['plugins'])}", soft_wrap=True)


def _moment(option: str, text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        fail(f"{option}: {text[:60]!r} is no time; write for instance 2026-03-29T01:00Z")
