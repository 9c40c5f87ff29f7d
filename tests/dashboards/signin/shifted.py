"""The dashboards on a clock that a test sets forward: the file that SHIFT names holds the seconds."""

from __future__ import annotations

import os
import time
from pathlib import Path

from plugwarden_dashboards import serve, visitor


def shifted() -> float:
    """Return the seconds of the clock."""
    return time.monotonic() + float(Path(os.environ["SHIFT"]).read_text("utf-8"))


if __name__ == "__main__":
    visitor.now = shifted
    serve.main()
