"""The tutorial, as a newcomer follows it: its files are saved and its commands are run; only the addresses are free ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

TUTORIAL = (Path(__file__).parents[2] / "docs/tutorial.md").read_text("utf-8")
SECONDS = "range(60)"
SHORT = "range(18)"
"""The bad version arrives in the tenth second; alerts and quarantine follow within the next ones."""
ENVIRON = {**os.environ, "PYTHONWARNINGS": "ignore"}


def block(language: str) -> str:
    """The one file in that language which the tutorial has its reader save."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", TUTORIAL, re.DOTALL)
    return str(found)


@contextmanager
def up(data: Path, *more: str) -> Iterator[dict[str, Any]]:
    """What `make up` starts, but for the dashboards; answers its addresses."""
    command = [sys.executable, "-m", "plugwarden_collector", "collector", "--json", "--data", str(data), *more]
    for name in ("grpc", "http", "api"):
        command += [f"--{name}", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRON)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0


@contextmanager
def host(folder: Path, addresses: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """`python host.py`, in the background."""
    text = block("python")
    for port, name in ((4318, "http"), (8420, "api")):
        assert f"http://127.0.0.1:{port}" in text
        text = text.replace(f"127.0.0.1:{port}", addresses[name])
    assert SECONDS in text
    (folder / "host.py").write_text(text.replace(SECONDS, SHORT))
    process = subprocess.Popen(
        [sys.executable, "host.py"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "every call was answered\n")
    finally:
        process.kill()
        process.communicate()


def plugwarden(addresses: dict[str, Any], words: str, until: Callable[[str], bool] = bool) -> str:
    """What a command of the tutorial prints; asked again until it prints what the tutorial promises."""
    assert f"plugwarden {words}\n" in TUTORIAL
    environ = {**ENVIRON, "PLUGWARDEN_COLLECTOR_URL": f"http://{addresses['api']}", "COLUMNS": "200"}
    end = time.monotonic() + 60
    while True:
        done = subprocess.run(
            [sys.executable, "-m", "plugwarden_collector", *words.split()],
            capture_output=True, text=True, env=environ, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        if until(done.stdout) or time.monotonic() > end:
            return done.stdout
        time.sleep(0.5)


def test_first_it_only_observes_and_with_rules_it_takes_the_version_out(tmp_path: Path) -> None:
    with up(tmp_path / "data") as addresses, host(tmp_path, addresses):
        alerts = plugwarden(addresses, "alerts", lambda text: "convert@1.1" in text)
        assert re.search("firing .*convert@1.1", alerts)
        assert "would_quarantine" in plugwarden(addresses, "audit list", lambda text: "would_quarantine" in text)
        assert "convert" in plugwarden(addresses, "plugins")
    (tmp_path / "rules.toml").write_text(block("toml"))
    with up(tmp_path / "data", "--rules", str(tmp_path / "rules.toml")) as addresses, host(tmp_path, addresses):
        found = plugwarden(addresses, "quarantines", lambda text: "convert" in text)
        assert re.search("convert.*quarantined|quarantined.*convert", found)
