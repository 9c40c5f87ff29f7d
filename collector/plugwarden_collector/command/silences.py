"""`plugwarden silences` (list, preview, add, extend, end) and `ack`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from plugwarden_collector.figures import counted

from .options import DEFAULT_URL, Actor, AsJson, Reason, Url, client
from .output import clean, clock, emit_json, fail, paragraph, say

__all__ = ["ack", "silences_app"]

silences_app = typer.Typer(help="Of what nobody is told for a while.", no_args_is_help=True)
Identity = Annotated[str, typer.Argument(metavar="ID", help="From `plugwarden silences list`.")]
Matchers = Annotated[
    list[str], typer.Argument(metavar="MATCHER...", help="Such as plugin=csv, version=~1[.].* or tenant!=acme.")
]
Length = Annotated[str, typer.Option("--for", help='How long, such as "2h"; at most 31d.')]


@silences_app.command("list")
def silences_list(
    url: Url = DEFAULT_URL,
    ended: Annotated[str | None, typer.Option(help='Those that ended lately, too, such as "7d".')] = None,
    as_json: AsJson = False,
) -> None:
    """List silences in force and to come."""
    hours = None if ended is None else _seconds("--ended", ended) / 3600
    with client(url) as api:
        found = api.get("silences", ended_hours=hours)
    if as_json:
        emit_json(found)
        return
    if not found:
        say("nothing is silenced")
    for row in found:
        _listed(row)


@silences_app.command("preview")
def silences_preview(matchers: Matchers, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Say what a silence would hide now, and of what nobody would be told. Nothing is done."""
    with client(url) as api:
        found = api.post("silences/preview", {"matchers": matchers})
    if as_json:
        emit_json(found)
    else:
        _hides(found)


@silences_app.command("add")
def silences_add(
    matchers: Matchers,
    length: Length,
    reason: Reason,
    start: Annotated[str | None, typer.Option(help="When it begins, ISO 8601 (UTC); none: now.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for it, such as a team.")] = None,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Tell nobody of some alerts for a while; they go on being judged and acted upon."""
    body = {
        "matchers": matchers, "seconds": _seconds("--for", length), "comment": reason, "starts_at": start, "owner": owner,
        "actor": actor,
    }  # fmt: skip
    with client(url) as api:
        _made(api.post("silences", body), as_json)


@silences_app.command("extend")
def silences_extend(
    identity: Identity,
    length: Length,
    reason: Reason,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Let a silence end later by a length of time."""
    body = {"seconds": _seconds("--for", length), "reason": reason, "actor": actor}
    with client(url) as api:
        _made(api.post(("silences", identity, "extend"), body), as_json)


@silences_app.command("end")
def silences_end(
    identity: Identity, reason: Reason, actor: Actor = None, url: Url = DEFAULT_URL, as_json: AsJson = False
) -> None:
    """Take a silence back: what it hid is told."""
    with client(url) as api:
        answer = api.post(("silences", identity, "end"), {"reason": reason, "actor": actor})
    if as_json:
        emit_json(answer)
    else:
        say(f"{clean(identity)} has ended")


def ack(
    subject: Annotated[str, typer.Argument(metavar="ID", help="From `plugwarden alerts` or `plugwarden quarantines`.")],
    reason: Reason,
    length: Length = "4h",
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Say that you know: whoever was told of it is not told again for a while, and everybody is told of its end."""
    body = {"subject": subject, "seconds": _seconds("--for", length), "reason": reason, "actor": actor}
    with client(url) as api:
        answer = api.post("acknowledgements", body)
    if as_json:
        emit_json(answer)
    else:
        say(f"{clean(subject)} is acknowledged until {clock(answer['ends_at'])} UTC")


def _listed(row: Mapping[str, Any]) -> None:
    """Print one silence: a table of ids, matchers and times is wider than a terminal, and would break ids that people copy."""
    paragraph(f"{clean(row['id'])} {clean(row['state'])}, {clock(row['starts_at'])} to {clock(row['ends_at'])} UTC")
    paragraph(f"hides {clean(row['matchers'])}", indent=2)
    owner = f", for {clean(row['owner'])}" if row["owner"] else ""
    paragraph(f"by {clean(row['created_by'])}{owner}: {clean(row['comment'])}", indent=2)


def _made(answer: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(answer)
        return
    say(
        f"{clean(answer['id'])} hides {clean(answer['matchers'])} from {clock(answer['starts_at'])} to {clock(answer['ends_at'])} UTC"
    )
    _hides(answer)


def _hides(answer: Mapping[str, Any]) -> None:
    found = answer["hides"]
    if not found:
        say("Nothing that people are told of now is among it.")
        return
    untold = sum(row["untold"] for row in found)
    say(f"Now it is {counted(len(found), 'thing')}, and of {untold} nobody is told:")
    for row in found:
        mark = "nobody is told" if row["untold"] else "others tell"
        paragraph(f"{row['severity']}, {mark}: {row['summary']} ({row['key']})", indent=2)


def _seconds(option: str, text: str) -> float:
    from plugwarden_collector.rules.duration import seconds

    try:
        return seconds(text)
    except ValueError as error:
        fail(f"{option}: {error}")
