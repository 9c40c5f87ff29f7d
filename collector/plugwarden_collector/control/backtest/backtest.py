"""Replays the data in a folder through a rules file, from when to when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from plugwarden_collector.clock import utc_now
from plugwarden_collector.errors import RulesError, StoreError
from plugwarden_collector.rules.duration import seconds
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.store import stored_telemetry

from .account import ASKED
from .compared import SAME_TROUBLE
from .replay import Replay
from .report import Report
from .tape import MINUTE, moment, second_of

__all__ = ["backtest"]

AFTER = timedelta(seconds=5)
"""What the newest calls lead to is decided within this time."""


def backtest(
    data: Path,
    rules: Rules,
    *,
    over: str | None = None,
    told: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Return what the rules would have decided on the data in a folder. Writes nothing but the counts that views show.

    Objectives that isolate nothing are left out, and named. `over` is how long before the newest call it begins, as far as minutes are
    kept; `told` hears the seconds done, and of how many. Once `stop` says so it ends with what was found so far. Raises `RulesError` for
    periods of the calendar, for a replay knows those that roll alone.
    """
    left_out = (*(item.name for item in rules.objectives if not item.isolates), *(item.name for item in rules.alerts))
    rules = replace(rules, objectives=rules.isolating)
    if not rules.objectives:
        raise RulesError(
            rules.source,
            [
                "slo: none is of all calls of its plugins, and a backtest replays no others; add one of availability or latency without "
                "versions, operations and slice"
            ],
        )
    anew = [
        f"{item.name}.period: a backtest knows no {item.calendar.unit} of the calendar; write a length such as 30d to try them"
        for item in rules.objectives
        if item.calendar is not None
    ]
    if anew:
        raise RulesError(rules.source, anew)
    with stored_telemetry(data) as (telemetry, happened):
        telemetry.ingest.catch_up(
            utc_now()
        ).result()  # a collector that was killed, or had just begun, left some uncounted
        recorded = telemetry.replaying.recorded()
        if recorded is None:
            raise StoreError(f"{data}: no plugin call is stored")
        unit = 1 if recorded.newest_at >= recorded.seconds_from else MINUTE
        end = recorded.newest_at + timedelta(seconds=unit) + AFTER
        start = recorded.minutes_from
        if over is not None:
            start = max(start, end - timedelta(seconds=seconds(over)))
        replay = Replay(telemetry, rules, recorded)
        ended = replay.run(second_of(start), second_of(end), told, stop)
        until = end if ended else max(start, min(end, moment(replay.now)))
        return Report(
            start, until, end, recorded.seconds_from, replay.looks, replay.turns, replay.account, replay.loop.refused,
            happened(start - SAME_TROUBLE, sorted(ASKED)), left_out,
        )  # fmt: skip
