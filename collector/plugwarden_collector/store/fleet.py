"""What the page of all plugins shows: one row a plugin, and calls by step. From memory where it has the span, else by SQL."""

from __future__ import annotations

import json
import weakref
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from .call_cells import BUCKETS, ZERO, Cells, Ints, Keys, moment, second_of
from .call_memory import CallMemory, Remembered
from .rows import Row
from .statements import statement

if TYPE_CHECKING:
    from .database import Database

__all__ = ["FleetPages"]

BASE = 2 ** (1 / 16)
MIDDLE = 2 * BASE / (1 + BASE)
"""Of a bucket from 1 to BASE: so that an estimate is never off by more than 2.2 %."""
QUANTILES = {"p50_seconds": 0.50, "p95_seconds": 0.95, "p99_seconds": 0.99}


class FleetPages:
    """Answers are what `fleet.sql` and `fleet_series.sql` answer."""

    def __init__(self, database: Database) -> None:
        # The database has this: held in turn, neither would be let go before the interpreter ends, with DuckDB's complaints.
        self._database: Database = weakref.proxy(database)
        self.memory = CallMemory(database)
        self._texts: dict[tuple[int, int], tuple[Keys, int, str]] = {}
        """Minute and step -> what its cells were when the text was made, and the text."""

    def plugins(self, since: datetime, until: datetime) -> list[Row]:
        """One row per plugin."""
        seconds = (until - since).total_seconds()
        with self.memory.lock:
            found = self.memory.calls(since, until)
        if found is not None:
            return _rows(found, seconds)
        span = self._database.tiers.span(since, until)
        return self._database.fetch(statement("fleet"), {**span, "seconds": seconds, "plugin": None})

    def series(self, since: datetime, until: datetime, step: float) -> str:
        """Calls per plugin and step: a JSON list, as text."""
        finest = step < 60.0
        if finest and 60.0 % step == 0:
            with self.memory.lock:
                minutes = self.memory.seconds(since, until)
                keys = self.memory.keys
            if minutes is not None:
                return self._steps(minutes, keys, second_of(since) + 1, second_of(until) + 1, int(step))
        span = self._database.tiers.span(since, until, finest=finest)
        return str(self._database.fetch(statement("fleet_series"), {**span, "step": step})[0]["calls"])

    def _steps(self, minutes: list[tuple[int, Cells, int]], keys: Keys, first: int, before: int, step: int) -> str:
        kept: dict[tuple[int, int], tuple[Keys, int, str]] = {}
        texts: list[str] = []
        names = [json.dumps(name, ensure_ascii=False) for name in keys.plugins]
        order = np.argsort(np.array(keys.plugins, object)) if keys.plugins else np.empty(0, np.int64)
        for minute, cells, changes in minutes:
            if minute >= first and minute + 60 <= before:
                known = self._texts.get((minute, step))
                if known is None or known[0] is not keys or known[1] != changes:
                    known = (keys, changes, _text(cells, keys, names, order, minute, step))
                kept[minute, step] = known
                texts.append(known[2])
            else:
                texts.append(_text(cells.between(first, before), keys, names, order, minute, step))
        self._texts = kept
        return f"[{','.join(text for text in texts if text)}]"


def _text(cells: Cells, keys: Keys, names: list[str], order: Ints, minute: int, step: int) -> str:
    """The steps of one minute, those of each in the order of plugins' names."""
    if not len(cells.time):
        return ""
    plugins, failed, _, rejected = keys.arrays()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    place = (cells.time - minute) // step * len(order) + rank[plugins[cells.key]]
    size = 60 // step * len(order)
    there = np.flatnonzero(np.bincount(place, minlength=size))
    sums = [
        np.bincount(place, values, size)[there].astype(np.int64).tolist()
        for values in (cells.calls, cells.calls * failed[cells.key], cells.calls * rejected[cells.key])
    ]
    heads = [f'{{"plugin_id":{names[number]},"time":"' for number in order.tolist()]
    times = [f'{moment(minute + number * step):%Y-%m-%dT%H:%M:%SZ}","calls":' for number in range(60 // step)]
    number, name = np.divmod(there, len(order))
    return ",".join(
        f'{heads[j]}{times[i]}{calls},"failed":{bad},"rejected":{refused}}}'
        for i, j, calls, bad, refused in zip(number.tolist(), name.tolist(), *sums, strict=True)
    )


def _rows(found: Remembered, seconds: float) -> list[Row]:
    keys = found.keys
    cells = [part for part in found.cells if len(part.time)]
    if not cells:
        return []
    plugins, failed, bad, rejected = keys.arrays()
    key = np.concatenate([part.key for part in cells])
    totals = {
        name: np.bincount(key, np.concatenate([getattr(part, name) for part in cells]), len(keys.rows))
        for name in ("calls", "busy_seconds", "cpu_seconds")
    }
    last = np.full(len(keys.rows), -1, np.int64)
    np.maximum.at(last, key, np.concatenate([part.time for part in cells]))
    size, calls = len(keys.plugins), totals["calls"]

    def of_plugins(values: Any) -> Any:
        return np.bincount(plugins, values, size)

    newest = np.full(size, -1, np.int64)
    np.maximum.at(newest, plugins, last)
    versions: dict[int, set[str]] = {}
    for number in np.flatnonzero(calls > 0).tolist():
        versions.setdefault(int(plugins[number]), set()).add(keys.rows[number][1])
    columns: dict[str, list[Any]] = {
        "calls": of_plugins(calls).astype(np.int64).tolist(),
        "failed": of_plugins(calls * failed).astype(np.int64).tolist(),
        "bad": of_plugins(calls * bad).astype(np.int64).tolist(),
        "rejected": of_plugins(calls * rejected).astype(np.int64).tolist(),
        "cpu_seconds": of_plugins(totals["cpu_seconds"]).tolist(),
        "busy_seconds": of_plugins(totals["busy_seconds"]).tolist(),
        **_quantiles(cells, size),
    }
    rows = []
    for number in sorted(np.flatnonzero(newest >= 0).tolist(), key=keys.plugins.__getitem__):
        row: Row = {"plugin_id": keys.plugins[number]}
        row |= {name: values[number] for name, values in columns.items()}
        # As SQL has it, a list of nothing is null.
        row["versions"] = sorted(versions[number]) if number in versions else None
        row["last_at"] = moment(int(newest[number]))
        row["calls_per_second"] = row["calls"] / seconds
        rows.append(row)
    return rows


def _quantiles(cells: list[Cells], size: int) -> dict[str, list[float | None]]:
    code = np.concatenate([part.pair_code for part in cells])
    count = np.concatenate([part.pair_count for part in cells])
    if not len(code):
        return {name: [None] * size for name in QUANTILES}
    places = code % BUCKETS
    first, width = int(places.min()), int(places.max() - places.min()) + 1
    table = np.bincount(code // BUCKETS * width + places - first, count, size * width).reshape(size, width)
    seen = np.cumsum(table, axis=1)
    whole = seen[:, -1:]
    found: dict[str, list[float | None]] = {}
    for name, ratio in QUANTILES.items():
        index = np.argmax(seen >= ratio * whole, axis=1) + first - ZERO
        values = (np.exp2(index / 16.0) * MIDDLE).tolist()
        found[name] = [value if full > 0 else None for value, full in zip(values, whole[:, 0].tolist(), strict=True)]
    return found
