"""Waiting until no call of an isolated scope runs any more: `plugwarden quarantine --drain`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted

from .output import clean, console, emit_json, fail
from .progress import steps

if TYPE_CHECKING:
    from plugwarden_collector.api.client import CollectorClient

__all__ = ["Isolated", "wait_for"]

LOOK_SECONDS = 0.5
"""Seconds between two looks; hosts tell once an export, which is every few seconds."""


@dataclass(frozen=True, slots=True)
class Isolated:
    """What was isolated a moment ago."""

    id: str
    scope: str
    answer: Mapping[str, Any]
    """As the collector said it."""


def wait_for(api: CollectorClient, isolated: Isolated, timeout_seconds: float, as_json: bool) -> None:
    """Show how many calls still run until none does; end the command with an error where some do after the timeout."""
    until = time.monotonic() + timeout_seconds
    with steps(f"{clean(isolated.scope)} drains", as_json) as show:
        while True:
            found = next((item for item in api.get("quarantine/running") if item["id"] == isolated.id), None)
            if found is None:
                fail(f"{isolated.scope} is isolated no more: somebody released {isolated.id}")
            if found["drained"] or found["running"] is None or time.monotonic() >= until:
                break
            show(_said(found))
            time.sleep(min(LOOK_SECONDS, max(0.0, until - time.monotonic())))
    if as_json:
        emit_json({**isolated.answer, **found})
        if not found["drained"]:
            raise SystemExit(1)
    elif found["drained"]:
        console.print(f"no call of {clean(isolated.scope)} runs any more")
    else:
        fail(f"{isolated.scope} is isolated, and after {duration(timeout_seconds)} {_said(found)}")


def _said(found: Mapping[str, Any]) -> str:
    if found["running"] is None:
        return "nobody can tell which of its calls run: hosts do not count them by tenant"
    text = f"{counted(found['running'], 'call runs', 'calls run')} still"
    if found["not_obeying"]:
        hosts = counted(found["hosts"], "host process", "host processes")
        have = (
            "has not said yet that it isolates" if found["not_obeying"] == 1 else "have not said yet that they isolate"
        )
        text += f"; {found['not_obeying']} of {hosts} {have} it"
    return text
