"""`plugwarden audit export`: both chains as a file, an entry a line, in as much memory as one page of them takes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugwarden_collector.audit.entries import ACCESS, DECISIONS, FACTS
from plugwarden_collector.figures import counted
from plugwarden_collector.named_path import file_to_write
from plugwarden_collector.private import create

from .options import DEFAULT_URL, AsJson, Url, client
from .output import console, emit_json, fail
from .progress import share

if TYPE_CHECKING:
    from plugwarden_collector.api.client import CollectorClient

__all__ = ["audit_export"]

PAGE = 1_000
"""Entries that are asked for at once, of some thousand bytes each; what one rests on has 4 MiB at most (`audit.attachment`)."""
STREAMS = (DECISIONS, ACCESS)

Entry = dict[str, Any]


def audit_export(
    file: Annotated[Path, typer.Argument(help="File to write: an entry a line, as JSON; the heads are the last line.")],
    facts: Annotated[
        bool, typer.Option("--facts", help="With what decisions rest on, as `audit show --json` gives each; redacted.")
    ] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Write both chains into a file, for whoever keeps evidence."""
    count = masked = 0
    file_to_write("FILE", file)
    try:
        with client(url) as api, share("exporting", as_json) as told:
            heads = api.get("audit/head")
            total = sum(heads[stream]["sequence"] for stream in STREAMS)
            found = _entries(api, heads)
            with os.fdopen(create(file), "w", encoding="utf-8") as sink:
                for entry in map(_redacted, _with_facts(api, found)) if facts else found:
                    sink.write(json.dumps(entry, ensure_ascii=False) + "\n")
                    count += 1
                    masked += entry.get("redacted", False)
                    told(count, total)
                sink.write(json.dumps({"stream": "heads", **heads}) + "\n")
    except FileExistsError:
        fail(f"{file} is there already; name another")
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    if as_json:
        emit_json({"file": str(file), "entries": count, "redacted": masked, "heads": heads})
        return
    console.print(f"{counted(count, 'entry', 'entries')} written to {file}", soft_wrap=True)
    if masked:
        console.print(f"in {masked:,} of them something that looks like a secret or personal data is masked")


def _entries(api: CollectorClient, heads: Mapping[str, Any]) -> Iterator[Entry]:
    """All entries up to the heads, each stream newest first, a page at a time."""
    for stream in STREAMS:
        before = heads[stream]["sequence"] + 1
        while before > 1:
            page = api.get("audit", stream=stream, before=before, limit=PAGE)
            if not page:
                break
            yield from page
            before = page[-1]["sequence"]


def _with_facts(api: CollectorClient, entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same; of decisions that rest on something each as the collector gives it alone, one at a time."""
    for entry in entries:
        rests = entry["stream"] == DECISIONS and FACTS in entry["evidence"]
        yield api.get(("audit", str(entry["sequence"]))) if rests else entry


def _redacted(entry: Entry) -> Entry:
    """The same without what looks like a secret or personal data; whether anything was masked stands in `redacted`."""
    from plugwarden_collector.receive.decode.redacted import redacted_json

    facts = entry.get("facts")
    text = json.dumps({**entry, "facts": None}, ensure_ascii=False)
    kept, kept_facts = redacted_json(text), None if facts is None else redacted_json(facts)
    return {**json.loads(kept), "facts": kept_facts, "redacted": (kept, kept_facts) != (text, facts)}
