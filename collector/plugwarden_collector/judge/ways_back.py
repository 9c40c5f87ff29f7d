"""Earlier versions that hosts still have: which of them answers in the place of one that is isolated. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass

__all__ = ["MOST_EACH", "MOST_KEPT", "WayBack", "WaysBack"]

MOST_KEPT = 20
"""No host keeps more versions of a plugin; a sender may make some up, and a directive holds a bounded number of versions."""
MOST_EACH = 5
"""Versions that one process has a say in: a quarter of all, so that what one makes up leaves room for what the others have."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """What one process said when it wrapped an operation: where calls go that its version is refused."""

    instance: str
    version: str
    operation: str
    previous: str
    """The earlier version."""


class WaysBack:
    """The ways back of one plugin in all processes."""

    def __init__(self, told: Iterable[WayBack] = (), called: Set[str] = frozenset()) -> None:
        """`told` has the newest first, where a process told several; `called` are versions that somebody really called."""
        self._called = called
        self._next: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        for item in told:
            self._next[item.instance, item.operation, item.version].append(item.previous)
        for names in self._next.values():
            names.sort(key=lambda name: name not in called)  # those that nobody called come last, else as they were

    def before(self, version: str, calling: Set[tuple[str, str]] = frozenset()) -> frozenset[str]:
        """Return the versions that calls of one may go back to in some process, `MOST_KEPT` at most: those first that most of `calling`
        have, which are the processes and operations that call it, and then those that were called themselves."""
        mine: defaultdict[str, dict[str, bool]] = defaultdict(dict)
        ways = [(instance, operation) for instance, operation, newer in self._next if newer == version]
        for instance, operation in sorted(ways, key=lambda way: (way not in calling, way)):
            kept = mine[instance]
            for name in self._passed(version, operation, instance):
                if len(kept) < MOST_EACH:
                    kept.setdefault(name, (instance, operation) in calling)
        having: defaultdict[str, list[bool]] = defaultdict(list)
        for kept in mine.values():
            for name, is_called in kept.items():
                having[name].append(is_called)
        # Names in one order, so that the same telling makes the same decision.
        ranked = sorted(
            having, key=lambda name: (-sum(having[name]), name not in self._called, -len(having[name]), name)
        )
        return frozenset(ranked[:MOST_KEPT])

    def answering(self, version: str, operation: str, instance: str, barred: Callable[[str], bool]) -> str | None:
        """Return the version that answers in the place of one: the first on the way that is not barred; None where there is none.

        Where a process told several, only those are counted on that somebody called: one of the others may be told in its name.
        A process may tell a circle, which no sidecar makes; it ends there.
        """
        passed = self._passed(version, operation, instance, sure=True)
        return next((found for found in passed if not barred(found)), None)

    def _passed(self, version: str, operation: str, instance: str, *, sure: bool = False) -> Iterator[str]:
        """Return all versions on the way, the nearest first."""
        passed, further = {version}, [version]
        for newer in further:
            names = self._next.get((instance, operation, newer), [])
            if sure and len(names) > 1:
                names = [name for name in names if name in self._called]
            for name in names:
                if name not in passed:
                    passed.add(name)
                    further.append(name)
                    yield name
