"""Libraries that others load wherever they find them, and that nothing of ours needs: left out of a process, it starts sooner."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

__all__ = ["leave_out"]


class _LeftOut:
    """Raises for some names what an installation without them does, and leaves all others to those who are asked next."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name in self._names:
            raise ModuleNotFoundError(f"nothing in this process needs {name}", name=name)


def leave_out(*names: str) -> None:
    """Let nobody in this process find these, for as long as it runs. What is loaded already stays."""
    sys.meta_path.insert(0, _LeftOut(names))
