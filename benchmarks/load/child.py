"""A load generator as a process of its own, so that what it takes of the machine is told apart from what the collector takes.

It is a module, run with one JSON argument. It prints a line when all is prepared, begins when it is sent one, ends early when
it is sent another, and prints what came of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["start_child", "wait_for_start"]


def start_child(module: str, task: DataclassInstance) -> subprocess.Popen[str]:
    """Start `load.<module>` with a task."""
    command = [sys.executable, "-m", f"load.{module}", json.dumps(asdict(task))]
    return subprocess.Popen(  # our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    )


def wait_for_start() -> threading.Event:
    """In the child: tell that all is prepared and wait for a line. The event is set by another one, or when whoever asked is gone."""
    print("ready", flush=True)
    sys.stdin.readline()
    stopped = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=wait, daemon=True).start()
    return stopped
