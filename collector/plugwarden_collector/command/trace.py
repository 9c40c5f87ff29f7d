"""`plugwarden traces` and `plugwarden trace ID`: calls that were kept, and one of them from its beginning to its end."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated

import typer
from plugwarden.contract import Outcome

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted, number
from plugwarden_collector.waterfall import critical_path, tree, ways

from .options import DEFAULT_URL, AsJson, Since, Url, client, seconds_of
from .output import clean, clock, console, emit_json, fail, paragraph, prose, say, show
from .waterfall_text import summary, waterfall_lines

__all__ = ["trace", "traces"]

MOST_ROWS = 300
"""Rows of spans: a few screens. With more of them, those that are alike are one row."""
OUTCOMES = tuple(map(str, Outcome))
_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")


def trace(
    identity: Annotated[str, typer.Argument(metavar="ID", help="32 hex digits, from `plugwarden traces`.")],
    errors: Annotated[bool, typer.Option("--errors", help="Only what failed, and the way to it.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every span on a row of its own.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show one trace: what called what, how long it took, what all waited for, and what failed."""
    if not _TRACE_ID.fullmatch(identity):
        fail(f"ID: {identity!r} is no trace id; it has 32 hex digits, as `plugwarden traces` lists them", 2)
    with client(url) as api:
        found = api.get(("traces", identity))
    nodes = tree(found["spans"])
    sections = critical_path(nodes)
    only = ways(nodes) if errors else None
    if as_json:
        path = [asdict(item) | {"span_id": nodes[item.place].span["span_id"]} for item in reversed(sections)]
        spans = [
            {**node.span, "depth": node.depth, "self_seconds": node.self_us / 1e6, "orphan": node.orphan}
            for place, node in enumerate(nodes)
            if only is None or place in only
        ]
        emit_json({**found, "spans": spans, "critical_path": path})
        return
    console.print(f"trace {clean(found['trace_id'])}", soft_wrap=True)
    if not nodes:
        paragraph("Only log records of this trace are kept.")
    else:
        paragraph(f"{clean(nodes[0].span['name'])}, {clock(found['spans'][0]['started_at'])} UTC")
    for text in summary(nodes, sections, found["span_count"]) if nodes else ():
        paragraph(text)
    if only is not None and not only:
        paragraph("No span of it failed.")
        return
    console.print()
    logs = found["logs"]
    if only is not None:
        failing = {nodes[place].span["span_id"] for place in only}
        logs = [record for record in logs if record["span_id"] in failing]
    for line in waterfall_lines(nodes, sections, logs, console.width, None if everything else MOST_ROWS, only):
        console.print(line, soft_wrap=True)


def traces(
    plugin: Annotated[str | None, typer.Option(help="Those in which this plugin took part.")] = None,
    version: Annotated[str | None, typer.Option(help="In this version.")] = None,
    operation: Annotated[str | None, typer.Option(help="By this operation.")] = None,
    status: Annotated[
        str | None, typer.Option(help="How it ended: success, error, timeout, rejected or cancelled.")
    ] = None,
    least: Annotated[
        str | None, typer.Option("--min-duration", help='Took at least this long, such as "250ms".')
    ] = None,
    text: Annotated[str | None, typer.Option("--grep", help="Part of a span's name, error type or message.")] = None,
    since: Since = "15m",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List traces that hold a span like that, newest first. All conditions are of one span."""
    if status not in (None, *OUTCOMES):
        fail(f"--status: {status!r} is none of {', '.join(OUTCOMES)}", 2)
    asked = {"plugin": plugin, "version": version, "operation": operation, "outcome": status, "text": text}
    with client(url) as api:
        found = api.get("traces", **asked, min_seconds=seconds_of("--min-duration", least), since=since, limit=limit)
    if as_json:
        emit_json(found)
        return
    show(
        found,
        {"trace_id": "trace", "started_at": ("began", clock), "duration_seconds": ("took", duration),
         "spans": ("spans", number), "errors": ("errors", number), "root": ("root", prose), "plugins": ("plugins", prose)},
        empty=f"no trace within {since} is like that; failures and the slowest are kept, and a share of the rest",
    )  # fmt: skip
    if found:
        failed = sum(row["errors"] > 0 for row in found)
        more = "; there may be more, raise --limit" if len(found) == limit else ""
        say(f"\n{counted(len(found), 'trace')}, {failed} with errors{more}")
