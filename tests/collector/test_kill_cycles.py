"""The benchmark of kills, on a small scale: what it claims is checked with every change."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_after_kills_under_load_every_acknowledged_record_is_there_exactly_once() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/kill_cycles.py"), "--cycles", "3", "--senders", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    wrong = ("missing", "more than once", "never acknowledged", "calls wrongly counted", "tracebacks")
    assert {name: found[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert found["acknowledged"] > 0
    assert found["decision_log_whole"]
