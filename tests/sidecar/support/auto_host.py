"""Hosts that are started with the sidecar, in a folder with what they are made of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["run"]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The sidecar's command in a folder, whose modules can be imported; nothing takes what is sent."""
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ = {**os.environ, "PYTHONPATH": path, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-m", "plugwarden", *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
