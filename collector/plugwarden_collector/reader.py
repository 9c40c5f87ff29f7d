"""`python -m plugwarden_collector.reader DESCRIPTOR`: the process that runs statements of readers (query/reader/child.py)."""

from __future__ import annotations

import signal
import sys

from plugwarden_collector.left_out import leave_out

__all__ = ["main"]


def main() -> None:
    """Serve the collector at the other end of the descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the collector's to handle; it ends this process
    leave_out(
        "pandas"
    )  # pyarrow loads it with the first array that it makes: a third of a start, and no statement's need
    from plugwarden_collector import store
    from plugwarden_collector.api import render  # noqa: F401 - its forms are what answers are made into

    for name in store.__all__:
        getattr(store, name)  # with all that these load: once a reader has given up its rights, it can open no file
    try:
        store.serve_reader(int(sys.argv[1]))
    except (BrokenPipeError, ConnectionResetError):
        pass  # the collector has gone


if __name__ == "__main__":
    main()
