"""The loop that lets go of what is old."""

from __future__ import annotations

import asyncio
import logging

from plugwarden_collector.clock import Clock
from plugwarden_collector.store.telemetry import Upkeep
from plugwarden_collector.store.upkeep import Keep

__all__ = ["run_retention"]

EVERY_SECONDS = 60.0
"""Seconds between two rounds."""

_log = logging.getLogger(__name__)


async def run_retention(upkeep: Upkeep, keep: Keep, *, clock: Clock) -> None:
    """Clean up every minute, for as long as the collector runs."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await asyncio.to_thread(upkeep.retain, keep, clock())
        except Exception:  # noqa: BLE001 - counted by the store, logged, and tried again
            _log.exception("cleaning up failed; it is tried again in a minute")
