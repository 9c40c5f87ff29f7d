"""Evidence for all operations at once, in arrays: what `judge.evidence.update` does to one, where nobody comes to be suspected.

Nearly every minute of a month holds a failure of somebody, and nearly none of them comes to anything. The sums are the same, term for
term, so that what it lets pass is what `judge.watch.look` would have made no suspicion of, and it hands over what look needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plugwarden_collector.judge.arrivals import Past
from plugwarden_collector.judge.evidence import ALTERNATIVES, ATTENTION_NATS, Line, Suspicion
from plugwarden_collector.judge.watch import StreamKey, Watch, thresholds_of, tolerated_of, usual_of
from plugwarden_collector.rules.objective import Objective

from .tape import Names, moment, second_of

__all__ = ["Sieve"]

MARGIN_NATS = 1e-6
"""More than rounding makes of a month of sums: what is this near to attention goes to `look`."""

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

_PART = np.array(ALTERNATIVES)
_OF_GOOD = np.log1p(-_PART)
"""Nats of one good call: ln((1 - ratio) / (1 - tolerated)), in which what is tolerated falls out."""


class Sieve:
    """Holds what speaks against each operation, by objective, operation and alternative."""

    def __init__(self, objectives: Sequence[Objective], names: Names) -> None:
        self._objectives, self._names = objectives, names
        self._thresholds = thresholds_of(objectives)
        self._nats: Floats = np.zeros((len(objectives), 0, len(_PART)))
        self._since: Ints = np.zeros(self._nats.shape, np.int64)
        self._mark: Ints = np.zeros(self._nats.shape, np.int64)
        self._bad_at: Ints = np.zeros(self._nats.shape[:2], np.int64)
        self._of_bad: Floats = np.zeros(self._nats.shape)
        self._usual: Mapping[tuple[str, str, str], Past] | None = None

    @property
    def watched(self) -> Any:
        """Which operations something speaks against, by number."""
        return (self._nats > 0.0).any(axis=(0, 2))

    def passes(
        self, stream: Ints, counts: Ints, usual: Mapping[tuple[str, str, str], Past], at: int, mark: int
    ) -> bool:
        """Take in one slice, rows as `Chunk.counts`; False, and nothing is taken in, where somebody may come to be suspected."""
        self._tolerate(usual)
        found = []
        for number, objective in enumerate(self._objectives):
            index = objective.threshold_index
            bad = counts[1] if index is None else counts[3 + self._thresholds.index(index)]
            total = counts[0]
            step = bad[:, None] * self._of_bad[number, stream] + (total - bad)[:, None] * _OF_GOOD
            before = self._nats[number, stream]
            fresh = before <= 0.0
            after = np.where(fresh, step, before + step)
            most = after.max(axis=1)
            mixed = most + np.log(np.exp(after - most[:, None]).mean(axis=1))
            if (mixed >= ATTENTION_NATS - MARGIN_NATS).any():
                return False
            found.append((bad, fresh, before, after))
        for number, (bad, fresh, before, after) in enumerate(found):
            self._nats[number, stream] = after
            self._since[number, stream] = np.where(fresh, at, self._since[number, stream])
            self._mark[number, stream] = np.where(fresh, mark, self._mark[number, stream])
            anew = (bad > 0) | (before <= 0.0).all(axis=1)
            self._bad_at[number, stream] = np.where(anew, at, self._bad_at[number, stream])
        return True

    def handed_over(self, watch: Watch) -> Watch:
        """Return a watch with what speaks against whom."""
        streams = {}
        for number, place in np.argwhere((self._nats > 0.0).any(axis=2)).tolist():
            lines = zip(
                self._nats[number, place].tolist(), self._since[number, place].tolist(), self._mark[number, place].tolist(),
                strict=True,
            )  # fmt: skip
            streams[StreamKey(self._objectives[number].name, *self._names.streams[int(place)])] = Suspicion(
                tuple(Line(nats, moment(since), mark) for nats, since, mark in lines),
                moment(int(self._bad_at[number, place])),
            )
        return replace(watch, streams=streams)

    def take_back(self, watch: Watch) -> None:
        """Go on from a watch."""
        self._grow()
        self._nats[:] = 0.0
        places = {objective.name: number for number, objective in enumerate(self._objectives)}
        for key, item in watch.streams.items():
            at = places[key.objective], self._names.number((key.plugin, key.version, key.operation))
            self._nats[at] = [line.nats for line in item.lines]
            self._since[at] = [second_of(line.since) for line in item.lines]
            self._mark[at] = [line.mark for line in item.lines]
            self._bad_at[at] = second_of(item.bad_at)

    def _tolerate(self, usual: Mapping[tuple[str, str, str], Past]) -> None:
        if usual is self._usual and self._nats.shape[1] == len(self._names.streams):
            return
        self._grow()
        self._usual = usual
        for number, objective in enumerate(self._objectives):
            tolerated = np.array(
                [tolerated_of(objective, self._thresholds, usual_of(usual, *name)) for name in self._names.streams]
            )[:, None]
            self._of_bad[number] = np.log((tolerated + (1.0 - tolerated) * _PART) / tolerated)
            others = [place for place, name in enumerate(self._names.streams) if not objective.covers(name[0])]
            self._of_bad[number, others] = -1.0  # nothing ever speaks against them

    def _grow(self) -> None:
        more = len(self._names.streams) - self._nats.shape[1]
        if more > 0:
            shape = (len(self._objectives), more, len(_PART))
            self._nats = np.concatenate([self._nats, np.zeros(shape)], axis=1)
            self._of_bad = np.concatenate([self._of_bad, np.zeros(shape)], axis=1)
            self._since = np.concatenate([self._since, np.zeros(shape, np.int64)], axis=1)
            self._mark = np.concatenate([self._mark, np.zeros(shape, np.int64)], axis=1)
            self._bad_at = np.concatenate([self._bad_at, np.zeros(shape[:2], np.int64)], axis=1)
