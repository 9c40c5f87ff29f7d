"""Earlier versions that hosts still have: which of them answers in the place of one that is isolated. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

__all__ = ["MOST_KEPT", "WayBack", "WaysBack"]

MOST_KEPT = 20
"""No host keeps more versions of a plugin; a sender may make some up, and a directive holds a bounded number of versions."""


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

    def __init__(self, told: Iterable[WayBack] = ()) -> None:
        self._next = {(item.instance, item.operation, item.version): item.previous for item in told}

    def before(self, version: str) -> frozenset[str]:
        """Return the versions that calls of one may go back to in some process: those that most processes have, `MOST_KEPT` at most."""
        kept = Counter(
            name
            for _, name in {
                (instance, name)
                for instance, operation, newer in self._next
                if newer == version
                for name in self._passed(version, operation, instance)
            }
        )
        # Names in one order, so that the same telling makes the same decision.
        return frozenset(sorted(kept, key=lambda name: (-kept[name], name))[:MOST_KEPT])

    def answering(self, version: str, operation: str, instance: str, barred: Callable[[str], bool]) -> str | None:
        """Return the version that answers in the place of one: the first on the way that is not barred; None where there is none.

        A process may tell a circle, which no sidecar makes; it ends there.
        """
        return next((found for found in self._passed(version, operation, instance) if not barred(found)), None)

    def _passed(self, version: str, operation: str, instance: str) -> Iterator[str]:
        passed = {version}
        found = self._next.get((instance, operation, version))
        while found is not None and found not in passed:
            yield found
            passed.add(found)
            found = self._next.get((instance, operation, found))
