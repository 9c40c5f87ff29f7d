"""The closed loop: calls that a simulated quarantine would have refused take no part in what comes after it.

What the data hold are calls that were made; what an isolated plugin's callers would have done instead is not in them. So a refused call
is left out, and of a probation's calls its share goes through: of each part as many as are to be expected, the same in each run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from plugwarden.contract import QuarantineState, Scope

from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.judge.watch import thresholds_of
from plugwarden_collector.rules.file import Rules

from .tape import LOOK_BACK, Row

__all__ = ["ClosedLoop", "Refused"]

MAX_NAMED = 1_000
"""Tenants and hosts of one quarantine that are told apart."""


@dataclass(slots=True)
class Refused:
    """What one quarantine refused."""

    calls: int = 0
    failures: int = 0
    """Calls among them that failed, or were slow where it was isolated for that: failures avoided."""
    tenants: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    """Machines, or processes where none is named."""

    @property
    def good(self) -> int:
        """Calls that were well, and were refused all the same."""
        return self.calls - self.failures


@dataclass(slots=True)
class _Log:
    """What a plugin did since it was isolated first, as far as it was let through."""

    begin: int
    closed_at: int
    """When something of it was isolated last."""
    rows: list[tuple[int, Row]] = field(default_factory=list)
    """End of the slice, and what was let through."""
    gone: int = 0
    """Rows that were let go."""
    _running: dict[int, tuple[int, int, dict[tuple[str, ...], list[int]]]] = field(default_factory=dict)
    """By mark: sums of the rows from one place to another, counted with those that were let go."""

    def since(self, after: int, mark: int) -> dict[tuple[str, ...], list[int]]:
        """Return the sums of rows that ended after a moment; asked again for the same mark, only what is new is added."""
        first, before, sums = self._running.get(mark, (self.gone, self.gone, {}))
        for place in range(before, self.gone + len(self.rows)):
            _add(sums, self.rows[place - self.gone][1], 1)
        before = self.gone + len(self.rows)
        while first < before and self.rows[first - self.gone][0] <= after:
            _add(sums, self.rows[first - self.gone][1], -1)
            first += 1
        self._running = {**dict(list(self._running.items())[-20:]), mark: (first, before, sums)}
        return {names: list(counts) for names, counts in sums.items() if any(counts)}

    def forget(self, before: int) -> None:
        """Let go of rows that ended before a moment."""
        count = next((place for place, (end, _) in enumerate(self.rows) if end >= before), len(self.rows))
        del self.rows[:count]
        self.gone += count
        # Sums that begin among them are made anew.
        self._running = {mark: found for mark, found in self._running.items() if found[0] >= self.gone}


class ClosedLoop:
    """Holds what was let through of plugins that are isolated in some part, or were lately."""

    def __init__(self, rules: Rules) -> None:
        thresholds = thresholds_of(rules.objectives)
        self._slow_at = {
            item.name: thresholds.index(item.threshold_index)
            for item in rules.objectives
            if item.threshold_index is not None
        }
        self.refused: dict[str, Refused] = {}
        """By id of the quarantine."""
        self._logs: dict[str, _Log] = {}
        self._owed: dict[tuple[str, tuple[str, ...]], float] = {}
        """Parts of calls that probation has yet to let through."""

    @property
    def plugins(self) -> Iterable[str]:
        """Whose calls are counted here and not on the tape."""
        return self._logs.keys()

    def follow(self, held: Sequence[Quarantine], at: int) -> None:
        """Take over plugins that something is isolated of, from a moment on."""
        for item in held:
            self._logs.setdefault(item.scope.plugin, _Log(at, at)).closed_at = at
        for plugin, log in list(self._logs.items()):
            if at - log.closed_at > LOOK_BACK:  # nobody looks back to when it was isolated
                del self._logs[plugin]
            elif log.rows and log.rows[0][0] < at - 2 * LOOK_BACK:
                log.forget(at - LOOK_BACK)

    def let_through(self, plugin: str, rows: Sequence[Row], held: Sequence[Quarantine], end: int) -> list[Row]:
        """Return the calls of a slice that come through, and remember them."""
        found = []
        for row, item in zip(rows, self.covering([row.names for row in rows], held), strict=True):
            passed = row if item is None else self._pass(row, item)
            if passed is not None:
                found.append(passed)
        self._logs[plugin].rows += [(end, row) for row in found]
        return found

    def covering(self, parts: Sequence[tuple[str, ...]], held: Sequence[Quarantine]) -> list[Quarantine | None]:
        """Return what isolates each of some parts, named as in `Row`; None: nothing does."""
        return [min((item for item in held if _in(item.scope, names)), key=_share, default=None) for names in parts]

    def let_many_through(self, rows: Sequence[tuple[int, Row]], held_back: Sequence[tuple[Row, Quarantine]]) -> None:
        """Remember rows that came through, each with the end of its slice, and account for those that did not, while nothing is on
        probation: what `let_through` does, for many slices at once. Rows held back may be sums of several slices."""
        for end, row in rows:
            self._logs[row.names[0]].rows.append((end, row))
        for row, item in held_back:
            self._account(row, item, 0, 0, (0,) * len(row.slow))

    def begin_of(self, plugin: str) -> int | None:
        """Return from when on the calls of a plugin are counted here; None: they are not."""
        log = self._logs.get(plugin)
        return None if log is None else log.begin

    def sums(
        self, plugin: str, after: int, upto: int, marks: Mapping[tuple[str, str], int]
    ) -> dict[tuple[str, ...], list[int]]:
        """Return what came through, as `Tape.sums` does."""
        log = self._logs.get(plugin)
        if log is None:
            return {}
        if not marks:  # a probation asks on every turn
            return log.since(max(after, upto - LOOK_BACK), after)
        found: dict[tuple[str, ...], list[int]] = {}
        for end, row in reversed(log.rows):
            if end <= upto - LOOK_BACK:
                break
            if marks.get((row.names[1], row.names[2]), after) < end <= upto:
                _add(found, row, 1)
        return found

    def _pass(self, row: Row, item: Quarantine) -> Row | None:
        let = 0
        calls = row.total
        share = _share(item)
        if share > 0.0:
            key = (item.id, row.names)
            owed = self._owed.get(key, 0.0) + calls * share
            let = min(calls, int(owed + 1e-9))
            self._owed[key] = owed - let
        slow = tuple(round(count * let / calls) if calls else 0 for count in row.slow)
        bad = min(let, round(row.bad * let / calls)) if calls else 0
        self._account(row, item, let, bad, slow)
        # Behind an open breaker nothing is probed: what it refuses is refused by the quarantine first.
        return Row(row.names, let, bad, 0, slow) if let else None

    def _account(self, row: Row, item: Quarantine, let: int, bad: int, slow: tuple[int, ...]) -> None:
        if row.total == let:
            return
        found = self.refused.setdefault(item.id, Refused())
        found.calls += row.total - let
        place = self._slow_at.get(str(item.evidence.get("objective", "")))
        found.failures += row.bad - bad if place is None else row.slow[place] - slow[place]
        for names, name in ((found.tenants, row.names[6]), (found.hosts, row.names[5] or row.names[4])):
            if name and len(names) < MAX_NAMED:
                names.add(name)


def _add(sums: dict[tuple[str, ...], list[int]], row: Row, sign: int) -> None:
    counts = sums.setdefault(row.names, [0] * (3 + len(row.slow)))
    for place, more in enumerate((row.total, row.bad, row.refused, *row.slow)):
        counts[place] += sign * more


def _share(item: Quarantine) -> float:
    return item.share_ratio if item.state is QuarantineState.PROBATION else 0.0


def _in(scope: Scope, names: tuple[str, ...]) -> bool:
    plugin, version, operation, _, instance, _, tenant, _ = names
    return (
        scope.plugin == plugin
        and scope.version in {None, version}
        and scope.operation in {None, operation}
        and scope.instance in {None, instance}
        and scope.tenant in {None, tenant}
    )
