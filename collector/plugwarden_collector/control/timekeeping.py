"""Keeps what is known of the time across restarts, and looks at the clocks while nobody asks."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime
from typing import Any

from plugwarden_collector.clock import Step, Timekeeping, TrustedClock, boot_identity
from plugwarden_collector.store import Database, Writer, statement

__all__ = ["load_timekeeping", "run_timekeeping", "store_timekeeping"]

EVERY_SECONDS = 1.0
STORE_SECONDS = 600.0
"""How often it is stored while nothing happens: after a boot, time is not taken to be before what was stored last."""

_log = logging.getLogger(__name__)


def load_timekeeping(database: Database) -> tuple[Timekeeping | None, bool]:
    """What was stored last, and whether the machine has been running since."""
    rows = database.fetch(statement("load_meta"), {"key": "clock"})
    try:
        found = json.loads(rows[0]["value"]) if rows else None
        if found is None:
            return None, False
        step = found["step"] and Step(found["step"][0], found["step"][1], datetime.fromisoformat(found["step"][2]))
        kept = Timekeeping(datetime.fromisoformat(found["at"]), found["steady"], step, found["adopted_seconds"])
    except (ValueError, KeyError, TypeError, IndexError):
        _log.exception("what was kept of the time cannot be read; it is begun anew from the wall clock")
        return None, False
    return kept, bool(found["boot"]) and found["boot"] == boot_identity()


def store_timekeeping(connection: Any, kept: Timekeeping) -> None:
    """Store what is known; the caller holds the transaction."""
    step = kept.step and [kept.step.seconds, kept.step.since, kept.step.began_at.isoformat()]
    value = {
        "boot": boot_identity(), "steady": kept.steady, "at": kept.at.isoformat(), "step": step,
        "adopted_seconds": kept.adopted_seconds,
    }  # fmt: skip
    connection.execute(statement("store_meta").sql, {"key": "clock", "value": json.dumps(value)})


async def run_timekeeping(clock: TrustedClock, writer: Writer) -> None:
    """Look at the clocks every second, and store what changed. A failure is logged and tried again."""
    stored: Timekeeping | None = None
    while True:
        kept = clock.reading()
        if stored is None or _differs(stored, kept):
            if stored is not None and (said := _sentence(stored, kept)):
                _log.warning("%s", said)
            try:
                await asyncio.wrap_future(writer.run(lambda connection, kept=kept: store_timekeeping(connection, kept)))  # type: ignore[misc]
                stored = kept
            except Exception:  # noqa: BLE001 - logged, and tried again
                _log.exception("what is known of the time could not be stored")
        await asyncio.sleep(EVERY_SECONDS)


def _differs(stored: Timekeeping, kept: Timekeeping) -> bool:
    place, before = kept.step and kept.step.since, stored.step and stored.step.since
    return (
        place != before or kept.adopted_seconds != stored.adopted_seconds or kept.steady - stored.steady > STORE_SECONDS
    )


def _sentence(stored: Timekeeping, kept: Timekeeping) -> str | None:
    if kept.adopted_seconds != stored.adopted_seconds:
        return f"the wall clock stayed where it stepped to: its time is taken for true, {kept.at}"
    if kept.step is not None:
        return (
            f"the wall clock stepped by {kept.step.seconds:+.0f} s; the time goes on from {kept.at} by the steady clock"
        )
    return "the wall clock is back" if stored.step else None
