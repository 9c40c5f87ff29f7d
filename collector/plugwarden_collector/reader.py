"""`python -m plugwarden_collector.reader DESCRIPTOR`: the process that runs statements of readers (query/reader/child.py)."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import ModuleType

__all__ = ["main"]


class _NoPandas:
    """Lets pyarrow find no pandas, which it loads with the first array that it makes: a third of a start, and no statement's need."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Return nothing, so that others are asked; for pandas raise what an installation without it does."""
        if name == "pandas":
            raise ModuleNotFoundError("readers have no pandas", name=name)


def main() -> None:
    """Serve the collector at the other end of the descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the collector's to handle; it ends this process
    sys.meta_path.insert(0, _NoPandas)
    from plugwarden_collector.api import render  # noqa: F401 - its forms are what answers are made into
    from plugwarden_collector.store import serve_reader

    try:
        serve_reader(int(sys.argv[1]))
    except (BrokenPipeError, ConnectionResetError):
        pass  # the collector has gone


if __name__ == "__main__":
    main()
