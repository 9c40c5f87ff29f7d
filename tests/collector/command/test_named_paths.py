"""Every path that a command takes: one line that names the flag and the fix and exit code 2, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.collector.support.command_line import plugwarden, plugwarden_process

LONG = "a" * 300
DEEP = "/".join(["a" * 200] * 25)
FREE = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
COLLECTOR = ["collector", *FREE]
FOLDERS = ["a-file", "a-file/x", LONG, DEEP, "a-loop", "/proc/plugwarden/x"]
"""None of these can be a folder."""
READ = ["a-folder", "a-file/x", LONG, "a-loop", "missing"]
"""None of these can be read as a file."""
WRITTEN = ["a-folder", "a-file/x", LONG, "a-loop", "missing/x"]
"""None of these can be written as a file."""

COMMANDS: list[tuple[str, list[str], list[str]]] = [
    ("--data", [*COLLECTOR, "--data", "{}"], FOLDERS),
    ("--rules", [*COLLECTOR, "--data", "data", "--rules", "{}"], READ),
    ("--archive", [*COLLECTOR, "--data", "data", "--archive", "{}"], FOLDERS),
    ("--audit-key", [*COLLECTOR, "--data", "data", "--audit-key", "{}"], ["a-folder", "a-file/x", LONG, "a-loop"]),
    ("--data", ["up", "--data", "{}"], FOLDERS[:4]),
    ("--rules", ["up", "--rules", "{}"], READ[:1]),
    ("--file", ["query", "--file", "{}"], READ),
    ("--parquet", ["query", "select 1", "--parquet", "{}"], WRITTEN),
    ("FILE", ["export", "spans", "{}"], WRITTEN),
    ("FILE_OR_FOLDER", ["backup", "{}"], WRITTEN[1:]),
    ("BACKUP", ["restore", "{}"], READ),
    ("--data", ["restore", "a-file", "--data", "{}"], FOLDERS[:4]),
    ("--data", ["store", "verify", "--data", "{}"], ["a-file/x", LONG, "a-loop", "missing"]),
    ("--data", ["store", "salvage", "--to", "new", "--data", "{}"], ["a-file/x", LONG, "a-loop", "missing"]),
    ("--to", ["store", "salvage", "--data", "a-folder", "--to", "{}"], FOLDERS[:4]),
    ("FILE", ["rules", "check", "{}"], READ),
    ("FILE", ["rules", "backtest", "{}"], READ[:2]),
    ("FILE", ["rules", "import", "{}"], READ[:2]),
    ("FILE", ["rules", "export", "{}", "--as", "toml"], READ[:2]),
    ("--output", ["rules", "import", "rules.toml", "--output", "{}"], WRITTEN),
    ("--data", ["rules", "backtest", "rules.toml", "--data", "{}"], ["a-file/x", LONG, "missing"]),
    ("FILE", ["audit", "export", "{}"], WRITTEN),
    ("--anchor", ["audit", "verify", "--anchor", "{}"], READ),
]
VARIABLES: list[tuple[str, list[str]]] = [
    ("PLUGWARDEN_AUDIT_HEADS", ["a-file", "a-file/x", LONG]),
    ("PLUGWARDEN_AUDIT_KEY_FILE", ["a-folder", "a-file/x", LONG]),
    ("PLUGWARDEN_ARCHIVE", ["a-file", LONG]),
    ("PLUGWARDEN_TOKENS_FILE", READ),
    ("PLUGWARDEN_TOKEN_FILE", READ[:1]),
    ("PLUGWARDEN_INGEST_TOKEN_FILE", READ[:1]),
]
SAID_AS = {"PLUGWARDEN_AUDIT_KEY_FILE": "--audit-key", "PLUGWARDEN_ARCHIVE": "--archive"}
"""Variables of which the flag is told; `--help` says which variable it is."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where commands are typed, with a state folder of its own and no collector to answer."""
    (tmp_path / "a-file").write_text("x")
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "a-loop").symlink_to(tmp_path / "a-loop")
    (tmp_path / "rules.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    interval = sys.getswitchinterval()
    yield tmp_path
    sys.setswitchinterval(interval)  # a collector that is refused has set its own


def fault(answer: subprocess.CompletedProcess[str], flag: str) -> str | None:
    """What is not as it should be."""
    lines = answer.stderr.splitlines()
    if answer.returncode != 2 or len(lines) != 1 or answer.stdout:
        return f"exit code {answer.returncode}, {len(lines)} lines: {answer.stdout[-200:]}{answer.stderr[-300:]}"
    if not lines[0].startswith(f"plugwarden: {flag}: ") or ";" not in lines[0] or len(lines[0]) > 600:
        return lines[0]
    return None


def faults(command: list[str], bad: list[str], flag: str, variable: str | None = None) -> dict[str, str]:
    """What is not as it should be, by path: the first one is told by a process, the others in this one, from the same lines of code."""
    found = {}
    for run, path in zip(chain([plugwarden_process], repeat(plugwarden)), bad, strict=False):
        answer = run(*(part.replace("{}", path) for part in command), **({} if variable is None else {variable: path}))
        if said := fault(answer, flag):
            found[path[:20]] = said
    return found


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("flag", "command", "bad"), COMMANDS, ids=[" ".join(item[1][:2]) + item[0] for item in COMMANDS]
)
def test_a_path_that_cannot_be_used_is_named_with_its_flag_and_the_fix(
    flag: str, command: list[str], bad: list[str]
) -> None:
    assert faults(command, bad, flag) == {}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("variable", "bad"), VARIABLES, ids=[name for name, _ in VARIABLES])
def test_a_path_in_a_variable_too(variable: str, bad: list[str]) -> None:
    assert faults([*COLLECTOR, "--data", "data"], bad, SAID_AS.get(variable, variable), variable) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_is_closed_to_us_is_said_so(folder: Path) -> None:
    (folder / "a-folder").chmod(0o500)
    assert fault(plugwarden(*COLLECTOR, "--data", "a-folder"), "--data") is None
    assert fault(plugwarden("query", "select 1", "--parquet", "a-folder/x"), "--parquet") is None
