"""`plugwarden capacity`: demand, forecasts, what would be, and who uses what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from plugwarden_collector.capacity.wording import limit_amount, until_full
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import MISSING, number, percent, size, times

from .options import DEFAULT_URL, AsJson, Url, client
from .output import clean, console, emit_json, fail, paragraph, prose, show

__all__ = ["capacity"]

FORECAST_SINCE = "7d"
"""What how full things are is looked at over where nobody says, beside a forecast: a week has every day once."""
AHEAD_DAYS = 28
"""Days of a forecast that are asked for."""
SHOWN_HOURS = (0, 24, 7 * 24, 14 * 24, AHEAD_DAYS * 24 - 1)
"""Hours of it that a table has."""


class By(StrEnum):
    """What demand is told by."""

    PLUGIN = "plugin"
    OPERATION = "operation"
    OWNER = "owner"
    TENANT = "tenant"


def capacity(
    plugin: Annotated[str | None, typer.Argument(help="One plugin.")] = None,
    forecast: Annotated[bool, typer.Option("--forecast", help="When limits are reached.")] = False,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            help="traffic=1.5, traffic:PLUGIN=2, cost=-20%, hosts=-1, add=PLUGIN, remove=PLUGIN; again for more.",
        ),
    ] = None,
    by: Annotated[By, typer.Option("--by", help="Demand by operation; usage by owner or tenant.")] = By.PLUGIN,
    store: Annotated[bool, typer.Option("--store", help="How the collector's own store grows.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", help='How far back: "15m", "6h", or ISO 8601. [15m; limits: 7d]')
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show what plugins ask of their hosts, when limits are reached, and what would be."""
    if sum((forecast, bool(what_if), store, by is not By.PLUGIN)) > 1:
        fail("--forecast, --what-if, --by and --store: choose one", 2)
    if plugin is not None and (what_if or store or by is By.OWNER):
        fail("PLUGIN: only with demand and --forecast; a change names its plugin, as in traffic:PLUGIN=2", 2)
    span = since or (FORECAST_SINCE if forecast or what_if or by is By.OWNER else "15m")
    with client(url) as api:
        if what_if:
            found: Any = api.get("capacity/what-if", since=span, change=what_if)
            shown: Callable[[], None] = partial(_what_if, found)
        elif store:
            found = api.get("capacity/store")
            shown = partial(_store, found)
        elif by in (By.OWNER, By.TENANT) and plugin is None:
            found = api.get("capacity/showback", since=span, by=by.value)
            shown = partial(_shares, found, span, by.value)
        elif forecast:
            found = {"full": api.get("capacity/full", plugin=plugin)}
            if plugin is not None:
                found["forecast"] = api.get("capacity/forecast", plugin=plugin, days=AHEAD_DAYS)
            found |= {"utilisation": api.get("capacity/utilisation", since=span, plugin=plugin)}
            shown = partial(_forecast, found)
        else:
            found = api.get("capacity", since=span, plugin=plugin, by=by.value)
            shown = partial(_demand, found, span, by)
    if as_json:
        emit_json(found)
        return
    shown()


def _demand(rows: Sequence[Mapping[str, Any]], span: str, by: By) -> None:
    named: dict[str, Any] = {"plugin_id": "plugin"}
    if by is By.OPERATION:
        named["plugin_operation"] = "operation"
    elif by is By.TENANT:
        named["tenant_id"] = "tenant"
    show(
        rows,
        {**named, "calls_per_second": ("calls/s", number), "peak_calls_per_second": ("peak/s", number),
         "concurrency": ("at once", number), "peak_concurrency": ("peak", number), "cpu_cores": ("CPU cores", number),
         "host_share_ratio": ("of hosts", percent), "memory_bytes": ("memory", size)},
        empty=f"no plugin has made a call within {span}",
    )  # fmt: skip
    if rows:
        first = rows[0]
        paragraph(
            f"Means over {duration(first['over_seconds'])} that have data, peaks over {duration(first['peak_over_seconds'])}; "
            f"at once is calls under way by Little's law; {MISSING} is what was not measured."
        )


def _forecast(found: Mapping[str, Any]) -> None:
    rows = found["full"]
    _records(
        [
            {
                "limit": _limit(row["limit"]),
                "used": percent(row["limit"]["ratio"]),
                "full in": until_full(row["until"], row["record"]),
                "how sure": f"{row['record']['confidence']}: {row['record']['reason']}",
            }
            for row in rows
        ],
        empty="no limit is known of a plugin or a host; bulkheads, rates, quotas and processors are told by sidecars",
    )
    curve = found.get("forecast")
    if curve is not None:
        record = curve["record"]
        console.print(f"\nCalls/s of {clean(curve['plugin_id'])}")
        if record["growth"] is not None:
            paragraph(f"{record['confidence']} confidence: {clean(record['reason'])}")
        if record["coverage_ratio"] is not None:
            paragraph(f"of what came, {percent(record['coverage_ratio'])} was within the interval of 80 %")
        points = curve["ahead"]
        show(
            [points[hour] for hour in SHOWN_HOURS if hour < len(points)],
            {"time": ("hour (UTC)", lambda value: clean(value)[:16].replace("T", " ")), "expected": ("expected", number),
             "low_80": ("from", number), "high_80": ("to (80 %)", number), "low_95": ("from ", number),
             "high_95": ("to (95 %)", number)},
            empty=f"nothing is foreseen: {clean(record['reason'])}",
        )  # fmt: skip
    standing = found["utilisation"]
    for name, ceiling in standing["ceilings"].items():
        paragraph(f"{clean(name)}: {clean(ceiling['reason'])}" + _interval(ceiling))
    if standing["unlimited"]:
        names = ", ".join(clean(name) for name in standing["unlimited"][:10])
        more = len(standing["unlimited"]) - 10
        paragraph(f"Nothing says how much these can do: {names}" + (f" and {more} more" if more > 0 else ""))


def _what_if(found: Mapping[str, Any]) -> None:
    first = found["bottleneck"]
    if first is None:
        paragraph("; ".join(clean(reason) for reason in found["reasons"]))
        return
    _records(
        [
            {
                "limit": _limit(row["after"]),
                "now": percent(row["before"]["ratio"]),
                "then": percent(row["after"]["ratio"]),
            }
            for row in found["outcomes"]
        ]
    )
    left = found["times_left"]
    room = (
        "no limit grows with load"
        if left is None
        else f"load can be {times(left)} that before one that grows with it is full"
    )
    paragraph(f"\nFull first: {_limit(first)}, {percent(first['ratio'])} used; {room}.")
    why = "; ".join(clean(reason) for reason in found["reasons"])
    paragraph(f"{found['confidence']} confidence" + (f": {why}" if why else ""))


def _shares(rows: Sequence[Mapping[str, Any]], span: str, by: str) -> None:
    show(
        rows,
        {"name": (by, clean), "calls": ("calls", number), "cpu_seconds": ("CPU", duration), "cpu_share_ratio": ("of CPU", percent),
         "busy_seconds": ("busy", duration), "memory_bytes": ("memory", size), "stored_bytes": ("stored", size)},
        empty=f"no plugin has made a call within {span}",
    )  # fmt: skip


def _store(found: Mapping[str, Any]) -> None:
    show(
        found["tables"],
        {"table": "table", "rows": ("rows", number), "bytes": ("size", lambda value: size(value or None)), "bytes_per_day": ("a day", size),
         "kept_days": ("kept (days)", number), "settled_bytes": ("settles at", size)},
    )  # fmt: skip
    full, early, coming = found["full_in_days"], found["early_in_days"], found["bytes_per_day"]
    free = f"{size(found['disk_free_bytes'])} of the disk are free."
    if coming is None:
        paragraph(f"\nNo table is large enough yet to tell how it grows. {free}")
        return
    paragraph(
        f"\n{size(coming)} come each day, and {size(found['settled_bytes'])} are kept in the end. {free} "
        + ("It is not full with what is kept today." if full is None else f"It is full in {full} days.")
        + ("" if early is None else f" Raw rows go before their age from {early} days on.")
    )


def _limit(item: Mapping[str, Any]) -> str:
    """Return whose limit it is and how much, with its unit."""
    whose = clean(item["host_name"]) if item["plugin_id"] is None else clean(item["plugin_id"])
    if item["plugin_operation"]:
        whose += f" {clean(item['plugin_operation'])}"
    return f"{whose}: {limit_amount(item)}"


def _interval(ceiling: Mapping[str, Any]) -> str:
    if ceiling["low"] is None:
        return ""
    if ceiling["high"] is None:
        return f" (from {number(ceiling['low'])} calls/s on; nothing says up to where)"
    return f" (from {number(ceiling['low'])} to {number(ceiling['high'])} calls/s)"


def _records(rows: Sequence[Mapping[str, str]], *, empty: str = "nothing to show") -> None:
    """Show rows of texts, with a column for each key of the first."""
    show(rows, {name: (name, prose) for name in (rows[0] if rows else ())}, empty=empty)
