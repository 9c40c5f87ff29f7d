"""`plugwarden logs`: what plugins and their hosts wrote, the newest last."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from .options import DEFAULT_URL, AsJson, Since, Url, client
from .output import clean, console, emit_json, fail, say
from .patience import patiently

__all__ = ["logs"]

EVERY_SECONDS = 1.0
"""Time between two looks of `--follow`, seconds."""
PAGE = 1000
"""Records in one answer of `--follow`."""
SEVERITIES = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}
"""OpenTelemetry's first number of each (logs data model, SeverityNumber)."""


def logs(
    plugin: Annotated[str | None, typer.Option(help="Those that this plugin wrote.")] = None,
    severity: Annotated[
        str | None, typer.Option(help=f"At least as severe: {', '.join(SEVERITIES)}.", metavar="SEVERITY")
    ] = None,
    grep: Annotated[str | None, typer.Option(help="Part of the message, in any case.")] = None,
    trace: Annotated[str | None, typer.Option(help="Those of this trace.", metavar="ID")] = None,
    since: Since = "15m",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest.")] = 100,
    around: Annotated[
        tuple[str, int] | None,
        typer.Option(help="A record by its id, and so many before and after it.", metavar="ID N"),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what arrives, until Ctrl-C.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List log records, the newest last. With --follow --json each is a document on a line of its own."""
    if severity is not None and severity.lower() not in SEVERITIES:
        fail(f"--severity: {severity!r} is none of {', '.join(SEVERITIES)}", 2)
    if around is not None and follow:
        fail("--around: give it or --follow, not both", 2)
    if around is not None and not 1 <= around[1] <= 1000:
        fail(f"--around: {around[1]} is not a number of records from 1 to 1000", 2)
    wanted = {
        "plugin": plugin,
        "min_severity": severity and SEVERITIES[severity.lower()],
        "text": grep,
        "trace_id": trace,
    }
    try:
        with client(url) as api:
            if around is not None:
                found = api.get("logs", **wanted, around=around[0], limit=around[1])
            else:
                found = api.get("logs", **wanted, since=since, limit=limit)
            if as_json and not follow:
                emit_json(found)
                return
            if not found["logs"] and not follow:
                say(f"no log record within {since} is like that")
            _print(found["logs"], as_json)
            while follow:
                # A full page has more behind it.
                time.sleep(0 if len(found["logs"]) == PAGE else EVERY_SECONDS)
                asked = {**wanted, "after": found["cursor"], "limit": PAGE}
                found = patiently(
                    partial(api.get, "logs", **asked)
                )  # with the same cursor: nothing is lost or repeated
                _print(found["logs"], as_json)
    except KeyboardInterrupt:
        if not follow:
            raise  # to follow ends with Ctrl-C; everything else is cut short by it


def _print(records: list[Mapping[str, Any]], as_json: bool) -> None:
    for record in records:
        if as_json:
            emit_json(record)
        else:
            console.print(_line(record), soft_wrap=True)
    sys.stdout.flush()


def _line(record: Mapping[str, Any]) -> str:
    """Return a record as one line: a terminal folds it, and nothing of it is cut."""
    said = clean(record["time"]).replace("T", " ")[:23]
    who = clean(record["plugin_id"] or record["service_name"])
    trace = f" trace={record['trace_id']}" if record["trace_id"] else ""
    return f"{said} {clean(record['severity_text']):5} {who}: {clean(record['body'])} [{record['id']}{trace}]"
