"""The collector's command, as a process."""

from __future__ import annotations

import os
import subprocess
import sys


def plugwarden(*arguments: str, url: str = "http://127.0.0.1:9") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PLUGWARDEN_COLLECTOR_URL": url, "COLUMNS": "80", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "plugwarden_collector", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=False)
