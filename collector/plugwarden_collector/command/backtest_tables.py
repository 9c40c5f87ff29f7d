"""A backtest on 80 columns: one paragraph a trouble, and tables of what people would have been told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted

from .output import clean, clock, console, paragraph, prose, show

__all__ = ["show_backtest"]

DONE = {
    "quarantined": "isolated",
    "suggested": "suggested to a person",
    "warned": "people warned",
    "prevented": "left to a person",
    "would_quarantine": "would be isolated (the policy only observes)",
}
HAPPENED = {
    "quarantined": "isolated",
    "suggested": "suggested to isolate",
    "warned": "warned of",
    "prevented": "left to a person",
    "would_quarantine": "would have isolated",
}
MAX_NAMED = 5
"""Tenants and hosts that are named; JSON has all."""


def show_backtest(found: Mapping[str, Any]) -> None:
    """Print a report."""
    troubles, told = found["troubles"], found["told"]
    if found["not_replayed"]:
        names = ", ".join(map(clean, found["not_replayed"]))
        paragraph(
            f"not replayed: {names}; what an [[alert]] looks at cannot be asked of the past, and objectives of some versions or "
            "operations isolate nothing"
        )
    if not troubles and not found["incidents"]:
        console.print("these rules would have decided nothing")
    for item in troubles:
        _show_trouble(item)
    if found["incidents"]:
        show(
            [{"began": item["began"].isoformat(), "summary": item["summary"]} for item in found["incidents"]],
            {"began": ("began", clock), "summary": ("incident that several plugins share", prose)},
        )
        console.print()
    if told:
        show(
            [{**item, "time": item["time"].isoformat()} for item in told],
            {"time": ("time", clock), "severity": "how", "summary": ("people would have been told", prose)},
        )
        console.print()
    for row in found["only_happened"]:
        done = f"{row['actor']} {HAPPENED[row['kind']]} {row['scope']}"
        paragraph(f"{clock(row['time'].isoformat())}  {clean(done)}; these rules would not have")
    _show_differences(found)
    _show_end(found)


def _show_trouble(item: Mapping[str, Any]) -> None:
    paragraph(f"{clock(item['decided'].isoformat())}  {clean(item['scope'])}: {DONE[item['kind']]}")
    paragraph(clean(item["reason"]), indent=2)
    line = f"began {clock(item['began'].isoformat())}, found {_after(item['began'], item['detected'])}"
    if item["isolated"] is not None:
        line += f", isolated {_after(item['began'], item['isolated'])}, "
        line += "to the end" if item["until"] is None else f"until {clock(item['until'].isoformat())}"
    paragraph(f"{line}.", indent=2)
    refused = item["refused"]
    if refused is not None:
        paragraph(
            f"{counted(refused['calls'], 'call')} would have been refused: {refused['failures_avoided']} that failed, "
            f"{refused['refused_wrongly']} that were well. Hosts: {_named(refused['hosts'])}; "
            f"tenants: {_named(refused['tenants'])}.",
            indent=2,
        )
    paragraph(f"In truth {clean(item['happened']['says'])}.", indent=2)
    console.print()


def _show_differences(found: Mapping[str, Any]) -> None:
    """Print how much of what these rules would have come to was so in truth, and what besides; nothing where neither was anything."""
    for word, mine, others, agrees, done in (
        ("alert", found["alerts_fired"], found["only_happened_alerts"], "fired", "raised"),
        ("incident", found["incidents"], found["only_happened_incidents"], "found", "found"),
    ):
        if mine or others:
            both = sum(1 for item in mine if item["happened"][agrees])
            paragraph(
                f"These rules would have {done} {counted(len(mine), word)}, of which {both} {_were(both)} {done} in truth. "
                f"{counted(len(others), word)} {_were(len(others))} {done} in truth that these rules would not have {done}."
            )


def _show_end(found: Mapping[str, Any]) -> None:
    text = (
        f"{counted(found['ticks'], 'turn')} from {clock(found['from'].isoformat())} to {clock(found['to'].isoformat())}; "
        f"{counted(found['alerts'], 'alert')}"
    )
    if found["seconds_from"] > found["from"]:
        text += f"; before {clock(found['seconds_from'].isoformat())} to the minute"
    if found["corrections_not_applied"]:
        text += f"; {counted(found['corrections_not_applied'], 'correction')} not applied: what they leave out of budgets counts here"
    paragraph(text)
    if not found["complete"]:
        console.print(f"interrupted: {clock(found['until'].isoformat())} was not reached")


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _after(began: datetime, at: datetime) -> str:
    return f"{duration(max(0.0, (at - began).total_seconds()))} later" if at > began else "at once"


def _named(names: list[str]) -> str:
    if not names:
        return "not told apart"
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return clean(names[:MAX_NAMED]) + more
