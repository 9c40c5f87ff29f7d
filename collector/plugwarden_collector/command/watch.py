"""`plugwarden watch`: one screen that says how the fleet stands, anew every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.text import Text

from plugwarden_collector.api.refusals import ApiError
from plugwarden_collector.durations import ago, duration
from plugwarden_collector.figures import budget, counted, number, percent

from .grid import wrapped
from .options import DEFAULT_URL, AsJson, Since, Url, client
from .output import clean, clock, console, emit_json, fail
from .patience import pause_seconds

__all__ = ["screen", "watch"]

PATIENCE_SECONDS = 5.0
"""Longest wait for an answer, seconds: after it the screen says that the collector does not answer."""
WORST = {"quarantined": 0, "degraded": 1, "probation": 2, "healthy": 3}
"""State of a plugin -> its place in the list, the worst first."""
Seen = Mapping[str, Any]


def watch(
    url: Url = DEFAULT_URL,
    since: Since = "15m",
    every: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds between two looks.")] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Print it once, and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how the fleet stands on one screen, until Ctrl-C. With --json, what it rests on, once."""
    with client(url, PATIENCE_SECONDS) as api:
        if once or as_json:
            seen = _look(api, since)
            if as_json:
                emit_json(seen)
            else:
                for line in screen(seen, console.width, None, 0.0, None):
                    console.print(line, soft_wrap=True)
            return
        if not sys.stdout.isatty():
            fail("watch: needs a terminal; give --once or --json for one look", 2)
        _run(api, since, every)


def screen(seen: Seen | None, width: int, height: int | None, age_seconds: float, gone: str | None) -> list[str]:
    """Return the lines of a screen: at most `height` of at most `width` cells.

    `gone` is why the collector does not answer; None: it does. What was seen is then `age_seconds` old, and None if nothing was.
    """
    lines = []
    if gone is not None:
        shown = "nothing was seen yet" if seen is None else f"this is from {ago(age_seconds)}"
        lines += [*wrapped(f"NOT ANSWERING, {shown}: {clean(gone)}", width), ""]
    if seen is not None:
        lines += _lines(seen, width)
    return lines if height is None else lines[:height]


def _lines(seen: Seen, width: int) -> list[str]:
    status, plugins = seen["status"], seen["plugins"]
    alerts = [row for row in seen["alerts"]["alerts"] if row["state"] != "inactive"]
    held = [row for row in seen["quarantines"] if row["ended_at"] is None]
    calls = sum(row["calls_per_second"] or 0.0 for row in plugins)
    frozen = f"FROZEN: {clean(status['frozen'])}" if status["frozen"] is not None else clean(status["enforcement"])
    strip = (
        f"{clock(status['at'])} UTC | {counted(len(plugins), 'plugin')}, {number(calls)} calls/s | "
        f"{sum(row['state'] == 'firing' for row in alerts)} firing, {len(held)} isolated or watched | {frozen} | "
        f"newest call {duration(status['data_age_seconds'])} old"
    )
    lines = wrapped(strip, width)

    def part(title: str, rows: list[str], empty: str) -> None:
        lines.extend(["", title])
        for text in rows or [empty]:
            lines.extend(f"  {line}" for line in wrapped(text, width - 2))

    part("Needs you", _needs(alerts, held, seen["alerts"]["incidents"]), "nothing")
    part(
        "Alerts",
        [
            f"{clean(row['state'])} {clean(row['severity'])} {clean(row['summary'])} ({row['fingerprint']})"
            for row in alerts
        ],
        "no alert is pending or firing",
    )
    worst = sorted(plugins, key=lambda row: (WORST.get(row["state"], -1), -(row["failed_ratio"] or 0.0), -row["calls"]))
    part(
        "Worst plugins",
        [
            f"{clean(row['plugin_id'])}: {clean(row['state'])}, {percent(row['failed_ratio'])} failed, "
            f"{number(row['calls_per_second'])} calls/s, p99 {duration(row['p99_seconds'])}, "
            f"budget {budget(row['budget_remaining_ratio'])}"
            for row in worst
        ],
        "no plugin has made a call",
    )
    return lines


def _needs(alerts: list[Any], held: list[Any], incidents: list[Any]) -> list[str]:
    """Return what waits for a person, and the command that answers it."""
    found = [
        f"suggested: {clean(row['plugin_id'])} {clean(row['reason'])}: plugwarden approve {row['id']} --reason …"
        for row in held
        if row["state"] == "degraded" and row["enforcement"] == "suggest"
    ]
    found += [
        f"page: {clean(row['summary'])}: plugwarden runbook {row['fingerprint']}"
        for row in alerts
        if row["state"] == "firing"
        and row["severity"] == "page"
        and not row["acknowledged_by"]
        and not row["silenced_by"]
    ]
    found += [
        f"incident: {clean(row['summary'])}: plugwarden runbook {row['id']}"
        for row in incidents
        if row["ended_at"] is None and not row["acknowledged_by"]
    ]
    return found


def _look(api: Any, since: str) -> dict[str, Any]:
    return {
        "status": api.get("status"),
        "alerts": api.get("alerts", history_hours=0),
        "quarantines": api.get("quarantine"),
        "plugins": api.get("plugins", since=since),
    }


def _run(api: Any, since: str, every: float) -> None:
    """Draw until Ctrl-C; a collector that is gone or has no room is asked again, and what it last said stays."""
    seen: Seen | None = None
    refusals = 0
    at = time.monotonic()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                gone, pause = None, every
                try:
                    seen, at, refusals = _look(api, since), time.monotonic(), 0
                except ApiError as error:
                    if not error.passing:
                        raise
                    refusals += 1
                    gone, pause = str(error), max(every, pause_seconds(error, refusals))
                looked = time.monotonic()
                while True:  # drawn each second, so that it follows the terminal's size and the age goes on
                    lines = screen(seen, console.width, console.height, time.monotonic() - at, gone)
                    live.update(Text("\n".join(lines)), refresh=True)
                    left = pause - (time.monotonic() - looked)
                    if left <= 0:
                        break
                    time.sleep(min(1.0, left))
    except KeyboardInterrupt:
        return  # as a watch ends
