"""A plugin whose contract is tested, and what an author gets wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator


class NoSuchOrder(LookupError):
    """What callers get who ask for what is not there."""


class StoreDown(Exception):
    """What the downstream's client raises."""


def export(rows: list[str], separator: str = ",") -> str:
    """Succeeds, or fails by what it is given."""
    if not rows:
        raise NoSuchOrder("no rows")
    if rows == ["store"]:
        raise StoreDown("away")
    return separator.join(rows)


async def lookup(seconds: float) -> str:
    """Is cancelled at its deadline."""
    await asyncio.sleep(seconds)
    return "found"


def lines(count: int) -> Iterator[int]:
    """A generator."""
    yield from range(count)


def stuck() -> None:
    """Misses any deadline."""
    time.sleep(60)
