"""A command starts with what it needs, and nobody waits for what another one needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"duckdb", "fastapi", "grpc", "httpx2", "numpy", "pandas", "pyarrow", "trio", "uvicorn"}
CODE = f"""
import json, sys
from plugwarden_collector.command import main
try:
    main()
except SystemExit:
    print(json.dumps(sorted({HEAVY!r} & set(sys.modules))), file=sys.stderr)
"""
ASKS = ["httpx2"]


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        (["--help"], []),
        (["rules", "check", "missing"], []),
        (["store", "verify", "--data", "missing"], []),
        (["restore", "missing"], []),
        (["doctor"], ASKS),
        (["--version"], ASKS),
        (["trace", "0" * 32], ASKS),
        (["logs"], ASKS),
        (["audit", "verify"], ASKS),
        (["backup", "x.duckdb"], ASKS),
        (["collector", "--data", "/dev/null"], ["numpy", "pyarrow"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_command_loads_what_it_needs(arguments: list[str], loaded: list[str]) -> None:
    line = [sys.executable, "-W", "ignore", "-c", CODE, *arguments]
    environ = {"PLUGWARDEN_COLLECTOR_URL": "http://127.0.0.1:9", "PYTHONPATH": ":".join(sys.path), "HOME": "/nowhere"}
    answer = subprocess.run(line, capture_output=True, text=True, env=environ, timeout=60, check=False)
    assert json.loads(answer.stderr.splitlines()[-1]) == loaded, answer.stderr
