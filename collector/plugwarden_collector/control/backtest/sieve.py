"""Evidence for all operations at once, in arrays: what `judge.evidence.update` does to one, where nobody comes to be suspected.

Nearly every minute of a month holds a failure of somebody, and nearly none of them comes to anything. The sums are the same, term for
term, so that what it lets pass is what `judge.watch.look` would have made no suspicion of, and it hands over what look needs. It is for
minutes alone: `judge.evidence.OF_BEFORE` is shorter than one of them, and plays no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plugwarden_collector.judge.evidence import (
    ABOVE_PAST,
    ALTERNATIVES,
    ATTENTION_NATS,
    MOST_TOLERATED,
    MOST_WELL_NATS,
    WELL_AGAIN_FOR,
    WELL_AGAIN_NATS,
    Line,
    Suspicion,
    tolerated_ratio,
)
from plugwarden_collector.judge.watch import StreamKey, Watch, thresholds_of
from plugwarden_collector.rules.objective import Objective

from .past import UsualAt
from .tape import Names, moment, second_of

__all__ = ["Sieve"]

MARGIN_NATS = 1e-6
"""More than rounding makes of a month of sums: what is this near to attention goes to `look`."""

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

_PART = np.array(ALTERNATIVES)
_OF_GOOD = np.log1p(-_PART)
"""Nats of one good call: ln((1 - ratio) / (1 - tolerated)), in which what is tolerated falls out."""


@dataclass(frozen=True, slots=True)
class _After:
    """What one slice makes of some operations, for one objective."""

    bad: Ints
    known: Mask
    """Something spoke against it before."""
    fresh: Mask
    """By operation and alternative: the sum begins anew."""
    nats: Floats
    mixed: Floats
    """Logarithm of the mixture, where something speaks against it; else 0."""
    well: Floats
    well_since: Ints
    """0: it is not beyond doubt that it is well again."""


class Sieve:
    """Holds what speaks against each operation, by objective, operation and alternative."""

    def __init__(self, objectives: Sequence[Objective], names: Names) -> None:
        self._objectives, self._names = objectives, names
        self._thresholds = thresholds_of(objectives)
        self._nats: Floats = np.zeros((len(objectives), 0, len(_PART)))
        self._since: Ints = np.zeros(self._nats.shape, np.int64)
        self._mark: Ints = np.zeros(self._nats.shape, np.int64)
        self._bad_at: Ints = np.zeros(self._nats.shape[:2], np.int64)
        self._mixed: Floats = np.zeros(self._nats.shape[:2])
        self._well: Floats = np.zeros(self._nats.shape[:2])
        self._well_since: Ints = np.zeros(self._nats.shape[:2], np.int64)
        self._covered: Mask = np.zeros(self._nats.shape[:2], bool)

    def matters(self, stream: Ints, counts: Ints) -> Mask:
        """Return which rows, as `Chunk.counts`, may leave anything: whose bad calls may speak against an operation by themselves, however
        well it was before. Of one that nothing speaks against, any other row leaves nothing."""
        self._grow()
        found: Mask = np.zeros(len(stream), bool)
        for number, objective in enumerate(self._objectives):
            bad = self._bad(objective, counts)
            rows = np.flatnonzero((bad > 0) & self._covered[number, stream])
            of_bad = _of_bad(np.array([tolerated_ratio(objective, 0.0)]))
            step = bad[rows, None] * of_bad + (counts[0, rows] - bad[rows])[:, None] * _OF_GOOD
            found[rows[step.max(axis=1) > -MARGIN_NATS]] = True
        return found

    @property
    def known(self) -> Mask:
        """By number, the operations that something speaks against."""
        found: Mask = self._nats.max(axis=(0, 2), initial=0.0) > 0.0
        return found

    def passes(self, stream: Ints, counts: Ints, usual: UsualAt, at: int, mark: int) -> bool:
        """Take in one slice, rows as `Chunk.counts`; False, and nothing is taken in, where somebody may come to be suspected, or is
        still. Rows that do not matter may be left out."""
        self._grow()
        found = []
        for number, objective in enumerate(self._objectives):
            told = counts[0], self._bad(objective, counts)
            after = self._after(number, stream, told, self._of_bad(number, stream, usual), at)
            others = self._mixed[number].copy()
            others[stream] = after.mixed
            if (others >= ATTENTION_NATS - MARGIN_NATS).any():
                return False
            found.append(after)
        for number, after in enumerate(found):
            self._nats[number, stream] = after.nats
            self._mixed[number, stream] = after.mixed
            self._since[number, stream] = np.where(after.fresh, at, self._since[number, stream])
            self._mark[number, stream] = np.where(after.fresh, mark, self._mark[number, stream])
            anew = (after.bad > 0) | ~after.known
            self._bad_at[number, stream] = np.where(anew, at, self._bad_at[number, stream])
            self._well[number, stream] = after.well
            self._well_since[number, stream] = after.well_since
        return True

    def _after(self, number: int, stream: Ints, told: tuple[Ints, Ints], of_bad: Floats, at: int) -> _After:
        total, bad = told
        step = bad[:, None] * of_bad + (total - bad)[:, None] * _OF_GOOD
        before = self._nats[number, stream]
        fresh = before <= 0.0
        known = ~fresh.all(axis=1)
        nats = np.where(fresh, step, before + step)
        leads = before.argmax(axis=1)
        rows = np.arange(len(stream))
        well = np.clip(self._well[number, stream] - step[rows, leads], 0.0, MOST_WELL_NATS)
        well[~known | (nats.argmax(axis=1) != leads)] = 0.0
        since = self._well_since[number, stream]
        well_since = np.where(well >= WELL_AGAIN_NATS, np.where(since > 0, since, at), 0)
        nats[(well_since > 0) & (at - well_since >= WELL_AGAIN_FOR.total_seconds())] = 0.0
        most = nats.max(axis=1)
        gone = most <= 0.0
        mixed = np.where(gone, 0.0, most + np.log(np.exp(nats - most[:, None]).mean(axis=1)))
        return _After(bad, known, fresh, nats, mixed, np.where(gone, 0.0, well), np.where(gone, 0, well_since))

    def handed_over(self, watch: Watch) -> Watch:
        """Return a watch with what speaks against whom."""
        streams = {}
        for number, place in np.argwhere((self._nats > 0.0).any(axis=2)).tolist():
            lines = zip(
                self._nats[number, place].tolist(), self._since[number, place].tolist(), self._mark[number, place].tolist(),
                strict=True,
            )  # fmt: skip
            well_since = int(self._well_since[number, place])
            streams[StreamKey(self._objectives[number].name, *self._names.streams[int(place)])] = Suspicion(
                tuple(Line(nats, moment(since), mark) for nats, since, mark in lines),
                moment(int(self._bad_at[number, place])),
                float(self._well[number, place]),
                moment(well_since) if well_since else None,
            )
        return replace(watch, streams=streams)

    def take_back(self, watch: Watch) -> None:
        """Go on from a watch."""
        self._grow()
        for column in (self._nats, self._mixed, self._well):
            column[:] = 0.0
        self._well_since[:] = 0
        places = {objective.name: number for number, objective in enumerate(self._objectives)}
        for key, item in watch.streams.items():
            at = places[key.objective], self._names.number((key.plugin, key.version, key.operation))
            self._nats[at] = [line.nats for line in item.lines]
            self._since[at] = [second_of(line.since) for line in item.lines]
            self._mark[at] = [line.mark for line in item.lines]
            self._bad_at[at] = second_of(item.bad_at)
            self._mixed[at] = item.nats
            self._well[at] = item.well_nats
            self._well_since[at] = second_of(item.well_since) if item.well_since is not None else 0

    def _of_bad(self, number: int, stream: Ints, usual: UsualAt) -> Floats:
        """Return the nats of one bad call, by operation and alternative."""
        index = self._objectives[number].threshold_index
        past = usual.share(0 if index is None else 1 + self._thresholds.index(index), stream)
        least = tolerated_ratio(self._objectives[number], 0.0)
        found = _of_bad(np.clip(ABOVE_PAST * past, least, MOST_TOLERATED))
        found[~self._covered[number, stream]] = -1.0  # nothing ever speaks against them
        return found

    def _bad(self, objective: Objective, counts: Ints) -> Ints:
        index = objective.threshold_index
        found: Ints = counts[1] if index is None else counts[3 + self._thresholds.index(index)]
        return found

    def _grow(self) -> None:
        more = len(self._names.streams) - self._nats.shape[1]
        if more > 0:
            self._covered = np.array(
                [[objective.covers(name[0]) for name in self._names.streams] for objective in self._objectives], bool
            )
            self._nats, self._since, self._mark = (
                _wider(column, more) for column in (self._nats, self._since, self._mark)
            )
            self._mixed, self._well, self._bad_at, self._well_since = (
                _wider(column, more) for column in (self._mixed, self._well, self._bad_at, self._well_since)
            )


def _of_bad(tolerated: Floats) -> Floats:
    found: Floats = np.log((tolerated[:, None] + (1.0 - tolerated[:, None]) * _PART) / tolerated[:, None])
    return found


def _wider(column: Any, more: int) -> Any:
    return np.concatenate([column, np.zeros((len(column), more, *column.shape[2:]), column.dtype)], axis=1)
