"""Forks at random moments, from the first call on: does every child run, and send? A thousand, 20 from each fresh process.

Exits with 1 when a child hung or could not send; `--processes 5` for a short run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from load.sink import sink

HOST = Path(__file__).parents[1] / "tests/sidecar/support/fork_host.py"


def main() -> None:
    """Fork, count, tell."""
    processes = int(sys.argv[sys.argv.index("--processes") + 1]) if "--processes" in sys.argv else 50
    failed = 0
    with sink() as endpoint:
        for seed in range(processes):
            command = [sys.executable, str(HOST), "20", endpoint, str(seed)]
            failed += subprocess.run(command, timeout=600, check=False).returncode != 0
    print(
        f"{processes * 20} forks from {processes} processes; processes with a child that hung or did not send: {failed}"
    )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
