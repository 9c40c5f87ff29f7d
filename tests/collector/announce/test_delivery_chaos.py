"""The benchmark of delivery under kills, on a small scale: what it claims is checked with every change."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_after_kills_and_with_failing_receivers_nothing_is_untold_and_every_attempt_is_in_the_log() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/delivery_chaos.py"), "--kills", "4", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    wrong = ("still owed", "untold", "told too often", "not in the log")
    assert {name: found[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert found["quarantines"] > 0
    assert found["attempts"] > found["quarantines"]
