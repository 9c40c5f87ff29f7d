"""Hostile alerts, pushed at a real store: every push is answered, and memory, store and bound stay one."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from plugwarden_collector.audit import Place
from plugwarden_collector.pushed import MalformedAlertsError, PushedAlerts
from plugwarden_collector.store import Database, Writer, open_ledger

from .fuzz_inputs import mutated

__all__ = ["ALERTS", "AlertPlace", "push_body"]

ALERTS = 64
"""In one push, about as many as Prometheus sends."""
LIMIT = 300
"""Alerts kept: few, so that the bound is met all the time."""
WRITER_SECONDS = 30.0
_TEXTS = (
    "", "a", "page", "csv", "x" * 1024, "x" * 1025, "y" * 17_000, "\0", "\ud800", "\u202e", "\n", "'; drop table alerts; --",
    "<script>", "{{ .Labels }}", "$1", "%s", "\\u0000", "🐘", "٣", "null",
)  # fmt: skip
_TIMES = (
    "2026-01-01T12:00:00Z", "2026-01-01T12:00:00.123456789+02:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00",
    "2026-01-01T12:00:60Z", "2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z", "8999-12-31T23:59:59Z", "2026-01-01", "yesterday",
    "2026-01-01T11:59:00Z", "2026-01-01T12:30:00Z", "+2026-01-01T12:00:00Z", "2026-01-01T12:00:00+24:00",
)  # fmt: skip
_ODD = (None, True, 0, -1, 10**30, 1e308, float("nan"), float("inf"), [], {}, [[]], {"a": {}}, "text")


def push_body(random: Random) -> tuple[bytes, int]:
    """A body as somebody who wishes us ill would send it, and how many alerts it was made of."""
    size = random.choice((1, 2, ALERTS, ALERTS))
    body = json.dumps([_alert(random) for _ in range(size)]).encode()
    return (mutated(random, body) if random.random() < 0.2 else body), size


def _alert(random: Random) -> Any:
    if random.random() < 0.05:
        return random.choice(_ODD)
    labels: Any = {"alertname": f"a{random.randrange(2 * LIMIT)}", "plugin": random.choice(_TEXTS[:6])}
    alert: dict[str, Any] = {"labels": labels, "annotations": {"summary": random.choice(_TEXTS[:4])}}
    if random.random() < 0.5:
        alert["endsAt"] = random.choice(_TIMES)
    if random.random() < 0.3:
        alert["startsAt"] = random.choice(_TIMES)
    match random.randrange(12):
        case 0:
            labels[random.choice(_TEXTS)] = random.choice((*_TEXTS, *_ODD))
        case 1:
            alert[random.choice(list(alert))] = random.choice((*_TEXTS, *_ODD))
        case 2:
            labels |= {f"l{number}": "x" for number in range(random.choice((60, 70)))}
        case 3:
            alert[random.choice(_TEXTS)] = random.choice(_ODD)
        case 4:
            alert["annotations"][random.choice(_TEXTS)] = random.choice((*_TEXTS, *_ODD))
    return alert


class AlertPlace:
    """A store, its writer, a clock, and the pushed alerts that it keeps."""

    def __init__(self, folder: Path) -> None:
        self.at = datetime(2026, 1, 1, 12)
        self._database = Database(folder)
        self._writer = Writer(self._database)
        self._ledger = open_ledger(self._database, self._writer, Place.of(), self.at)
        self._alerts = PushedAlerts(self._ledger, lambda: self.at, "", limit=LIMIT)

    async def push(self, body: bytes, results: Counter[str]) -> str | None:
        """Push one body; answers what went wrong with the answer, or None."""
        try:
            taken, refused, *_ = await self._alerts.take(body)
        except MalformedAlertsError as error:
            results["malformed"] += 1
            json.dumps(str(error)).encode()
            return None
        results["taken"] += taken
        results["refused"] += len(refused)
        sent = len(json.loads(body))
        json.dumps([[item.field, item.why] for item in refused]).encode()
        if taken + len(refused) != sent:
            return f"{taken} taken and {len(refused)} refused of {sent}"
        if any(not 0 <= item.index < sent for item in refused):
            return "an alert is named that was not sent"
        return None

    async def check(self, random: Random) -> str | None:
        """What is wrong with what is kept, or None. Time goes on a little, or for two days."""
        self.at += timedelta(seconds=random.choice((1, 60, 400, 200_000)))
        await self._alerts.expire()
        held = await asyncio.wrap_future(self._writer.run(lambda connection: connection.execute(
            "select count(*), count(*) filter (state = 'firing') from alerts").fetchall()[0]))  # fmt: skip
        if held[0] > LIMIT:
            return f"{held[0]} alerts are kept, more than {LIMIT}"
        if held[1] != self._alerts.firing:
            return f"{held[1]} alerts fire in the store, {self._alerts.firing} in memory"
        good = json.dumps([{"labels": {"alertname": "a0"}, "endsAt": f"{self.at.isoformat()}Z"}]).encode()
        taken, refused, *_ = await self._alerts.take(good)
        return None if taken == 1 and not refused else "a good alert was refused after all"

    def close(self) -> None:
        """Let everything go."""
        self._alerts.close()
        self._ledger.close()
        self._writer.close(WRITER_SECONDS)
        self._database.close()
