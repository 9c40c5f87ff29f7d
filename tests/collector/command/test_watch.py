"""`plugwarden watch`: one screen, at a real terminal, that outlives the collector and ends with Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from plugwarden_collector.command.watch import screen
from rich.cells import cell_len

from tests.collector.command.test_widths import LONG, named
from tests.collector.conftest import Running, running
from tests.collector.support.command_line import plugwarden

__all__ = ["named"]


@pytest.mark.parametrize("width", [60, 80])
def test_one_look_says_how_the_fleet_stands(named: Running, width: int) -> None:
    answer = plugwarden("watch", "--once", url=named.url, COLUMNS=str(width))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert max(map(cell_len, answer.stdout.splitlines())) <= width
    for said in ("1 plugin", "Needs you", "no alert is pending", "Worst plugins", LONG):
        assert said in answer.stdout
    seen = json.loads(plugwarden("watch", "--json", url=named.url).stdout)
    assert [row["plugin_id"] for row in seen["plugins"]] == [LONG]
    assert len(screen(seen, width, 5, 0.0, None)) == 5
    gone = screen(seen, width, None, 90.0, "\x1b[2Jconnection refused")
    assert " ".join(gone).startswith("NOT ANSWERING, this is from 1.5 min ago: ")
    assert "\x1b" not in "".join(gone)
    wrong = plugwarden("watch", url=named.url)
    assert (wrong.returncode, "give --once or --json" in wrong.stderr) == (2, True)


def test_at_a_terminal_it_says_that_the_collector_is_gone_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    shown = b""

    def until(text: bytes) -> None:
        nonlocal shown
        while text not in shown:
            shown += os.read(ours, 4096)

    with running(tmp_path / "data") as found:
        line = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "plugwarden_collector",
            "watch",
            "--every",
            "0.5",
            "--url",
            found.url,
        ]
        process = subprocess.Popen(
            line, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        os.close(theirs)
        until(b"Worst plugins")
    until(b"NOT ANSWERING")
    process.send_signal(signal.SIGINT)
    until(b"\x1b[?1049l")  # the terminal is given back as it was
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, b"")
    os.close(ours)
