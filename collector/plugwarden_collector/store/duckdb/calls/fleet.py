"""What the page of all plugins shows: one row a plugin, and calls by step. From memory where it has the span, else by SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from plugwarden.contract.histogram import MIDDLE, PER_OCTAVE

from plugwarden_collector.store.calls import PluginCalls
from plugwarden_collector.store.duckdb.statements import statement

from .cells import BUCKETS, ZERO, Cells, Ints, Keys, moment
from .minute_cache import CallMemory, Remembered, Step
from .source import CallSource

__all__ = ["FleetPages"]

QUANTILES = (0.50, 0.95, 0.99)
"""Ratios of the quantiles that `PluginCalls` has, in its order."""


@dataclass(frozen=True, slots=True)
class _Text:
    of: tuple[Keys, tuple[int, ...]]
    """What it was made of: another text is due when one of these is another one."""
    text: str


class FleetPages:
    """Answers are what `fleet.sql` and `fleet_series.sql` answer. Asked from any thread."""

    def __init__(self, source: CallSource) -> None:
        self._source = source
        self.memory = CallMemory(source)
        self._texts: dict[int, dict[int, _Text]] = {}
        """Length of a step, and the first second of some of them -> their text, as they were last asked for."""

    def follow(self) -> None:
        """Add what the rollups counted since; while nobody asks, let go of everything instead."""
        self.memory.follow()
        if self.memory.idle:
            self._texts = {}

    def plugins(self, since: datetime, until: datetime) -> list[PluginCalls]:
        """One value per plugin."""
        seconds = (until - since).total_seconds()
        with self.memory.lock:
            found = self.memory.calls(since, until)
            if found is not None:
                return _rows(found, seconds)
        span = self._source.tiers.span(since, until)
        return self._source.values(PluginCalls, "fleet", {**span, "seconds": seconds, "plugin": None})

    def series(self, since: datetime, until: datetime, step: float) -> str:
        """Calls per plugin and step: a JSON list, as text."""
        finest = step < 60.0
        if step % 60.0 == 0 or (finest and 60.0 % step == 0):
            with self.memory.lock:
                found = self.memory.seconds(since, until) if finest else self.memory.steps(since, until)
                if found is not None:
                    return self._steps(found, self.memory.keys, int(step))
        span = self._source.tiers.span(since, until, finest=finest)
        return str(self._source.fetch(statement("fleet_series"), {**span, "step": step})[0]["calls"])

    def _steps(self, found: list[Step], keys: Keys, step: int) -> str:
        """The text of each group of steps is made anew only when a call was added to it: there may be a hundred thousand."""
        length = max(60, step)
        groups: dict[int, list[Step]] = {}
        for part in found:
            groups.setdefault(part[0] // length * length, []).append(part)
        rank = np.empty(len(keys.plugins), np.int64)
        rank[sorted(range(len(keys.plugins)), key=keys.plugins.__getitem__)] = np.arange(len(keys.plugins))
        before, texts = self._texts.get(step, {}), dict[int, _Text]()
        for start, parts in sorted(groups.items()):
            held = (keys, tuple(changes for _, _, changes in parts))
            known = before.get(start)
            if known is None or known.of != held:
                cells = Cells.joined([cells for _, cells, _ in parts])
                known = _Text(held, _text(cells, keys, rank, start, step, length // step))
            texts[start] = known
        self._texts[step] = texts
        return f"[{','.join(known.text for known in texts.values() if known.text)}]"


def _text(cells: Cells, keys: Keys, rank: Ints, start: int, step: int, steps: int) -> str:
    """Some steps that follow each other, those of each in the order of plugins' names."""
    if not len(cells.time):
        return ""
    plugins, failed, _, rejected = keys.arrays()
    number = (cells.time - start) // step if steps > 1 else np.zeros(len(cells.time), np.int64)
    place = number * len(rank) + rank[plugins[cells.key]]
    size = steps * len(rank)
    there = np.flatnonzero(np.bincount(place, minlength=size))
    sums = [
        np.bincount(place, values, size)[there].astype(np.int64).tolist()
        for values in (cells.calls, cells.calls * failed[cells.key], cells.calls * rejected[cells.key])
    ]
    heads = [f'{{"plugin_id":{json.dumps(name, ensure_ascii=False)},"time":"' for name in sorted(keys.plugins)]
    times = [f'{moment(start + number * step):%Y-%m-%dT%H:%M:%SZ}","calls":' for number in range(steps)]
    numbers, names = np.divmod(there, len(rank))
    return ",".join(
        f'{heads[j]}{times[i]}{calls},"failed":{bad},"rejected":{refused}}}'
        for i, j, calls, bad, refused in zip(numbers.tolist(), names.tolist(), *sums, strict=True)
    )


def _rows(found: Remembered, seconds: float) -> list[PluginCalls]:
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
    called, *others = (
        of_plugins(values).astype(np.int64).tolist()
        for values in (calls, calls * failed, calls * bad, calls * rejected)
    )
    times = (of_plugins(totals[name]).tolist() for name in ("cpu_seconds", "busy_seconds"))
    # As SQL has it, a list of nothing is null.
    named = [sorted(versions[number]) if number in versions else None for number in range(size)]
    last_at = [moment(second) for second in newest.tolist()]
    rates = [count / seconds for count in called]
    columns = (keys.plugins, called, *others, *times, named, last_at, rates, *_quantiles(cells, size))
    rows = list(zip(*columns, strict=True))
    there = np.flatnonzero(newest >= 0).tolist()
    return [PluginCalls(*rows[number]) for number in sorted(there, key=keys.plugins.__getitem__)]


def _quantiles(cells: list[Cells], size: int) -> list[list[float | None]]:
    code = np.concatenate([part.pair_code for part in cells])
    count = np.concatenate([part.pair_count for part in cells])
    if not len(code):
        return [[None] * size for _ in QUANTILES]
    places = code % BUCKETS
    first, width = int(places.min()), int(places.max() - places.min()) + 1
    table = np.bincount(code // BUCKETS * width + places - first, count, size * width).reshape(size, width)
    seen = np.cumsum(table, axis=1)
    whole = seen[:, -1:]
    found: list[list[float | None]] = []
    for ratio in QUANTILES:
        index = np.argmax(seen >= ratio * whole, axis=1) + first - ZERO
        values = (np.exp2(index / PER_OCTAVE) * MIDDLE).tolist()
        found.append([value if full > 0 else None for value, full in zip(values, whole[:, 0].tolist(), strict=True)])
    return found
