"""`plugwarden audit`: list, show, replay, verify, head, export, accept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugwarden_collector.audit.entries import FACTS
from plugwarden_collector.figures import counted

from .audit_export import audit_export
from .options import DEFAULT_URL, Actor, AsJson, Url, client
from .output import clean, clock, console, emit_json, fail, paragraph, prose, say, show

if TYPE_CHECKING:
    from plugwarden_collector.cycle.replay import Replayed  # the whole judging, which one command of these needs

__all__ = ["audit_app"]

_HASH = re.compile(r"[0-9a-f]{64}")

audit_app = typer.Typer(help="The decision log.", no_args_is_help=True)


@audit_app.command("list")
def audit_list(
    url: Url = DEFAULT_URL,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    access: Annotated[
        bool, typer.Option("--access", help="Who read, was refused or pushed alerts, instead of decisions.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List decisions, newest first."""
    with client(url) as api:
        found = api.get("audit", limit=limit, stream="access" if access else "decisions")
    if as_json:
        emit_json(found)
        return
    if not found:
        console.print("nobody asked for anything yet" if access else "nothing was decided yet")
    # No table: what is said of a decision is sentences, and in a narrow column they are a word a line.
    for row in found:
        times = row["evidence"].get("count") if access else None
        paragraph(_title(row) + (f", {counted(times, 'time')}" if times else ""))
        if row["reason"]:
            paragraph(clean(row["reason"]), indent=2)


@audit_app.command("show")
def audit_show(
    sequence: Annotated[int, typer.Argument(min=1, help="Its number, as `audit list` shows it.")],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show one decision. With --json all of it, what it rests on among it: `audit replay` takes that as a file, too."""
    with client(url) as api:
        found = api.get(("audit", str(sequence)))
    if as_json:
        emit_json(found)
        return
    say(_title(found))
    say(clean(found["reason"]))
    kept = (
        "not kept"
        if found["facts"] is None
        else f"{counted(len(found['facts'].encode()), 'byte')}, sha256 {found['evidence'][FACTS]}"
    )
    say(f"what it rests on: {clean(kept)}")


@audit_app.command("replay")
def audit_replay(
    entry: Annotated[str, typer.Argument(help="Number of a decision, or a file that `audit show --json` wrote.")],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Make a decision again from nothing but its own entry; exit code 1 when another one comes out, or it cannot be made again."""
    from plugwarden_collector.cycle.replay import replay

    if entry.isdecimal():
        with client(url) as api:
            kept = api.get(("audit", entry))
    else:
        kept = _entry_in(Path(entry))
    found = replay(kept)
    if as_json:
        emit_json({"sequence": kept["sequence"], **asdict(found)})
    else:
        _show_replayed(kept, found)
    if not found.same:
        raise SystemExit(1)


@audit_app.command("verify")
def audit_verify(
    url: Url = DEFAULT_URL,
    anchor: Annotated[
        str | None,
        typer.Option(help="A hash, or a file that `audit head --json` or `audit export` wrote: it must be in the log."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute both chains with their key, and compare them with the heads that were kept; exit code 1 when they differ."""
    hashes = [] if anchor is None else _anchors(anchor)
    with client(url) as api:
        found = api.get("audit/verify")
        for item in hashes:
            answer = api.get("audit/verify", anchor=item)
            found["notes"] += [text for text in answer["notes"] if text not in found["notes"]]
            found["problems"] += [text for text in answer["problems"] if text not in found["problems"]]
    found |= {"valid": not found["problems"], "problem": "; ".join(found["problems"]) or None}
    if as_json:
        emit_json(found)
    else:
        for text in found["problems"]:
            paragraph(f"BROKEN: {clean(text)}")
        state = (
            f", unbroken; head {found['head'][:16]}…"
            if found["valid"]
            else (" holds" if found["decisions"] == 1 else " hold")
        )
        console.print(f"{counted(found['decisions'], 'decision')}{state}")
        for text in found["notes"]:
            paragraph(f"- {clean(text)}")
    if not found["valid"]:
        raise SystemExit(1)


@audit_app.command("head")
def audit_head(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show the newest entry of each chain. Keep it elsewhere: `audit verify --anchor` then proves what came before it."""
    with client(url) as api:
        found = api.get("audit/head")
    if as_json:
        emit_json(found)
        return
    for stream in ("decisions", "access"):
        head = found[stream]
        console.print(f"{stream} {head['sequence']} {head['hash']} {clock(head['time'])}", soft_wrap=True)


audit_app.command("export")(audit_export)


@audit_app.command("accept")
def audit_accept(
    reason: Annotated[str, typer.Option("--reason", help="What explains it; goes into the audit log.")],
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Explain what `audit verify` finds missing, such as a store that was put back by hand. It stays on record."""
    with client(url) as api:
        found = api.post("audit/accept", {"reason": reason, "actor": actor})
    if as_json:
        emit_json(found)
        return
    for text in found["accepted"]:
        say(f"accepted: {clean(text)}")
    if not found["accepted"]:
        console.print("there is nothing to explain")


def _title(entry: Mapping[str, Any]) -> str:
    says = f" (says: {clean(entry['says'])})" if entry.get("says") else ""
    what = f"{clean(entry['kind'])} {clean(entry['scope'])}"
    return f"{clean(entry['sequence'])}  {clock(entry['time'])}  {what} by {clean(entry['actor'])}{says}"


def _show_replayed(entry: Mapping[str, Any], found: Replayed) -> None:
    """Say in words what became of an entry that was made again."""
    say(_title(entry))
    if found.same is None:
        say(f"cannot be made again: {clean(found.problem)}")
        return
    if found.same:
        told = found.decided["evidence"] if found.decided is not None else {}
        weights = f": {told['nats']:g} nats, {told['enough_nats']:g} are enough" if "nats" in told else ""
        console.print(f"the same comes out{weights}")
    else:
        say("something else comes out" + (f": {clean(found.problem)}" if found.problem else ""))
        show(
            [
                {"part": item.part, "entry": _text(item.entry), "replay": _text(item.replay)}
                for item in found.differences
            ],
            {"part": "part", "entry": ("entry", prose), "replay": ("now", prose)},
        )
    if found.decided_by != found.replayed_by:
        console.print(f"decided by version {clean(found.decided_by)}, made again by {found.replayed_by}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _entry_in(file: Path) -> dict[str, Any]:
    """Return the entry that a file holds."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except OSError as error:
        fail(f"{file}: {error.strerror}; give the number of a decision, or a file of `audit show --json`", 2)
    except (ValueError, RecursionError):
        found = None
    wanted = ("sequence", "time", "kind", "scope", "actor", "reason", "enforcement", "quarantine_id", "evidence")
    whole = isinstance(found, dict) and all(name in found for name in wanted)
    if not whole or not isinstance(found["evidence"], dict) or not isinstance(found.get("facts"), str | None):
        fail(f"{file}: holds no decision; write it with `plugwarden audit show SEQUENCE --json`", 2)
    return dict(found)


def _anchors(text: str) -> list[str]:
    """Hashes that must be in the log."""
    if _HASH.fullmatch(text):
        return [text]
    try:
        lines = Path(text).read_text("utf-8").splitlines()
        raw = json.loads(lines[-1])
        found = [raw[name]["hash"] for name in ("decisions", "access") if raw[name]["sequence"]]
    except OSError as error:
        fail(f"--anchor: {text}: {error.strerror}; give a hash of 64 hex digits, or a file of `audit head --json`", 2)
    except (ValueError, LookupError, TypeError):
        fail(f"--anchor: {text}: holds no heads; write it with `plugwarden audit head --json` or `audit export`", 2)
    if not found or not all(isinstance(item, str) and _HASH.fullmatch(item) for item in found):
        fail(f"--anchor: {text}: holds no hash of 64 hex digits", 2)
    return found
