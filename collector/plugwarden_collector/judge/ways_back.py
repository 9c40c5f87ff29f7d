"""Earlier versions that hosts still have: which of them answers in the place of one that is isolated. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["WayBack", "WaysBack"]


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

    @property
    def versions(self) -> frozenset[str]:
        """Versions that some process still has to go back to."""
        return frozenset(self._next.values())

    def answering(self, version: str, operation: str, instance: str, barred: Callable[[str], bool]) -> str | None:
        """Return the version that answers in the place of one: the first on the way that is not barred; None where there is none.

        A process may tell a circle, which no sidecar makes; it ends there.
        """
        passed = {version}
        found = self._next.get((instance, operation, version))
        while found is not None and found not in passed:
            if not barred(found):
                return found
            passed.add(found)
            found = self._next.get((instance, operation, found))
        return None
