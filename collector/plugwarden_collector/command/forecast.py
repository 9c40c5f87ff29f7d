"""What a person sees before something is isolated by hand, and the question whether to go on: `--dry-run`, `--yes`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugwarden_collector.api.refusals import ApiError
from plugwarden_collector.figures import counted

from .output import clean, clock, emit_json, errors, fail, say

if TYPE_CHECKING:
    from plugwarden_collector.api.client import CollectorClient

__all__ = ["DryRun", "Yes", "agree", "needed", "scope_of", "show_forecast"]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and isolate nothing.")]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Ask nothing; where nobody is there to be asked, nothing is asked either.")
]
Scope = Mapping[str, str | None]
"""Parts of a scope, as the API names them."""


def show_forecast(api: CollectorClient, scope: Scope, as_json: bool) -> None:
    """Print what isolating a scope would cost."""
    found = _forecast(api, scope)
    if as_json:
        emit_json(found)
        return
    for line in _said(found):
        say(line)


def agree(api: CollectorClient, scope: Callable[[], Scope], *, yes: bool, as_json: bool) -> None:
    """Show a person at a terminal what isolating a scope would cost, and ask; end the command where the answer is no."""
    if yes or as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    try:
        lines = _said(_forecast(api, scope()))
    except ApiError as error:
        if not error.unanswered:  # the want of a number keeps nobody from isolating
            raise
        lines = [f"No forecast: {clean(error)}"]
    for line in lines:
        say(line, to=errors)
    if not typer.confirm("Isolate it?", err=True):
        fail("nothing was isolated")


def needed(reason: str | None) -> str:
    """Return the reason; end the command where there is none, as whoever acts has to say why."""
    if reason is None:
        fail("--reason: say why, it goes into the audit log; or only look, with --dry-run", 2)
    return reason


def scope_of(api: CollectorClient, identity: str) -> Scope:
    """Return the scope of a suggestion; end the command where there is none of that id, or none any more, as the act would."""
    row = next((item for item in api.get("quarantine") if item["id"] == identity), None)
    if row is None:
        fail(f"there is no quarantine {identity!r}; `plugwarden quarantines` lists them")
    if row["ended_at"] is not None:
        fail(f"conflict: {identity} ended at {clock(row['ended_at'])} already")
    if row["state"] != "degraded":
        fail(f"conflict: {identity} is no suggestion: it is {row['state']} already")
    return {
        "plugin": row["plugin_id"], "version": row["plugin_version"], "operation": row["plugin_operation"],
        "instance": row["instance_id"], "tenant": row["tenant_id"],
    }  # fmt: skip


def _forecast(api: CollectorClient, scope: Scope) -> dict[str, Any]:
    return dict(api.get("quarantine/forecast", **scope))


def _said(found: Mapping[str, Any]) -> list[str]:
    """Return a forecast as lines."""
    lines = [clean(found["scope"]), clean(found["forecast"])]
    if found["running"]:
        lines.append(f"{counted(found['running'], 'call runs', 'calls run')} now, and would be let end.")
    if found["warning"]:
        lines.append(f"Note: {clean(found['warning'])}")
    return lines
