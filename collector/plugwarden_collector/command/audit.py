"""`plugwarden audit`: list, verify, head, export, accept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.named_path import file_to_write
from plugwarden_collector.private import create

from .options import DEFAULT_URL, Actor, AsJson, Url, client
from .output import clean, clock, console, emit_json, fail, prose, show

__all__ = ["audit_app"]

PAGE = 5_000
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
    show(
        [{**row, "times": row["evidence"].get("count", "") if access else ""} for row in found],
        {"sequence": "#", "time": ("time", clock), "kind": "what", "actor": ("by", prose), "says": ("says to be", prose),
         "scope": ("scope", prose), "reason": ("why", prose), **({"times": "times"} if access else {})},
        empty="nobody asked for anything yet" if access else "nothing was decided yet",
    )  # fmt: skip


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
            console.print(f"BROKEN: {clean(text)}")
        state = f", unbroken; head {found['head'][:16]}…" if found["valid"] else " hold"
        console.print(f"{found['decisions']} decisions{state}")
        for text in found["notes"]:
            console.print(f"- {clean(text)}")
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


@audit_app.command("export")
def audit_export(
    file: Annotated[Path, typer.Argument(help="File to write: an entry a line, as JSON; the heads are the last line.")],
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Write both chains into a file, for whoever keeps evidence."""
    count = 0
    file_to_write("FILE", file)
    try:
        with client(url) as api:
            heads = api.get("audit/head")
            with os.fdopen(create(file), "w", encoding="utf-8") as sink:
                for stream in ("decisions", "access"):
                    for row in _entries(api, stream, heads[stream]["sequence"]):
                        sink.write(json.dumps(row, ensure_ascii=False) + "\n")
                        count += 1
                sink.write(json.dumps({"stream": "heads", **heads}) + "\n")
    except FileExistsError:
        fail(f"{file} is there already; name another")
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    if as_json:
        emit_json({"file": str(file), "entries": count, "heads": heads})
    else:
        console.print(f"{count} entries written to {file}", soft_wrap=True)


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
        console.print(f"accepted: {clean(text)}", soft_wrap=True)
    if not found["accepted"]:
        console.print("there is nothing to explain")


def _entries(api: CollectorClient, stream: str, last: int) -> Iterator[dict[str, Any]]:
    """All entries up to one, newest first, a page at a time."""
    before = last + 1
    while before > 1:
        page = api.get("audit", stream=stream, before=before, limit=PAGE)
        if not page:
            return
        yield from page
        before = page[-1]["sequence"]


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
