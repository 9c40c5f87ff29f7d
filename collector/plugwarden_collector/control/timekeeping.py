"""Keeps what is known of the time across restarts, and looks at the clocks while nobody asks."""

from __future__ import annotations

import asyncio
import logging

from plugwarden_collector.clock import Timekeeping, TrustedClock, boot_identity
from plugwarden_collector.store import Ledger
from plugwarden_collector.store.ledger import KeptTime

__all__ = ["resumed", "run_timekeeping"]

EVERY_SECONDS = 1.0
"""Seconds between two looks at the clocks."""
STORE_SECONDS = 600.0
"""Seconds until the time is stored while nothing happens: after a boot, time is not taken to be before what was stored last."""

_log = logging.getLogger(__name__)


def resumed(kept: KeptTime | None) -> tuple[Timekeeping | None, bool]:
    """Return what was known of the time, and whether the machine has been running since."""
    return (None, False) if kept is None else (kept.timekeeping, bool(kept.boot) and kept.boot == boot_identity())


async def run_timekeeping(clock: TrustedClock, ledger: Ledger) -> None:
    """Look at the clocks every second, and store what changed. A failure is logged and tried again."""
    stored: Timekeeping | None = None
    while True:
        kept = clock.reading()
        if stored is None or _differs(stored, kept):
            if stored is not None and (said := _sentence(stored, kept)):
                _log.warning("%s", said)
            try:
                await asyncio.wrap_future(ledger.keep_time(KeptTime(kept, boot_identity())))
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
