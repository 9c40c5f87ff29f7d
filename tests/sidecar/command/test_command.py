"""What is typed in a host's environment, as `python -m plugwarden` and as the collector's `plugwarden`: the same commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugwarden.command import COMMANDS

FILE = """
service = "reports"
[[callable]]
target = "steps:resize"
"""
BOTH = [[sys.executable, "-m", "plugwarden"], [str(Path(sys.executable).parent / "plugwarden")]]

pytestmark = pytest.mark.parametrize("command", BOTH, ids=["python -m plugwarden", "plugwarden"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "steps.py").write_text("def resize(size): return size * 2\n")
    (tmp_path / "host.py").write_text(
        "import os, steps, sys\nmask = os.umask(0)\nprint(steps.resize(3), sys.argv[1:], oct(mask))\nraise SystemExit(7)\n"
    )
    (tmp_path / "plugwarden.toml").write_text(FILE)
    return tmp_path


def typed(folder: Path, command: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(folder), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    return subprocess.run(
        [*command, *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False, umask=0o022
    )  # fmt: skip


def test_a_host_is_started_and_gets_its_arguments_and_its_umask_as_they_are(folder: Path, command: list[str]) -> None:
    done = typed(folder, command, "run", "--report", "--", sys.executable, "host.py", "--file", "x", "--", "--help")
    assert (done.returncode, done.stdout) == (7, "6 ['--file', 'x', '--', '--help'] 0o22\n"), done.stderr
    assert "callable steps:resize: 1 wrapped" in done.stderr


def test_a_host_file_is_written_from_what_is_installed_and_the_next_step_can_be_typed(
    folder: Path, command: list[str]
) -> None:
    assert typed(folder, command, "init").returncode == 1
    done = typed(folder, command, "init", "--force", "--group", "datasette", "--service", "data")
    assert done.returncode == 0, done.stderr
    assert 'project = "datasette"' in (folder / "plugwarden.toml").read_text()
    following = done.stdout.rpartition("then: ")[2].split(" run -- ")[0]
    assert following == ("python -m plugwarden" if "-m" in command else "plugwarden")


def test_every_command_answers_a_program_in_json(folder: Path, command: list[str]) -> None:
    (folder / "plugin.toml").write_text("[plugin]\nid = 'p'\nversion = '1'\n[operations.x]\ntimeout = 1\n")
    done = typed(folder, command, "emulate", "plugin.toml", "--for", "2s", "--json")
    assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())
    for name in COMMANDS:
        assert "--json" in typed(folder, command, name, "--help").stdout, name


def test_a_host_file_is_told_of_in_json(folder: Path, command: list[str]) -> None:
    done = typed(folder, command, "init", "--force", "--group", "datasette", "--service", "data", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["file"] == "plugwarden.toml"
    assert told["service"] == "data"
    assert list(told["groups"]) == ["datasette"]
    assert all(" (" in point for point in told["groups"]["datasette"])
    assert told["then"].endswith(" run -- COMMAND")
    assert "text" not in told
    printed = json.loads(typed(folder, command, "init", "--file", "-", "--group", "datasette", "--json").stdout)
    assert 'project = "datasette"' in printed["text"]
    assert printed["file"] is None


def test_what_was_wrapped_is_told_in_json_at_the_end_of_the_host(folder: Path, command: list[str]) -> None:
    (folder / "plugwarden.toml").write_text(f'{FILE}[[callable]]\ntarget = "steps:missing"\n')
    done = typed(folder, command, "run", "--json", "--", sys.executable, "host.py")
    assert (done.returncode, done.stdout) == (7, "6 [] 0o22\n"), done.stderr  # the host's own output is as it was
    (told,) = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert told["event"] == "report"
    assert (told["program"], type(told["process"])) == ("host.py", int)
    assert told["wanted"] == [
        {"kind": "callable", "name": "steps:resize", "wrapped": 1},
        {"kind": "callable", "name": "steps:missing", "wrapped": 0},
    ]
    assert len(told["faults"]) == 1


def test_what_is_wrong_takes_one_line_and_help_teaches(folder: Path, command: list[str]) -> None:
    done = typed(folder, command, "run", "--file", "none.toml", "--", "true")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "none.toml: cannot be read" in done.stderr
    for words in (["--help"], ["run", "--help"], ["init", "--help"], ["emulate", "--help"]):
        done = typed(folder, command, *words)
        assert done.returncode == 0
        assert done.stdout.lower().startswith("usage: ")  # the collector's own page has a capital
    assert "emulate" in typed(folder, command, "--help").stdout


def test_an_emulation_is_shown_and_its_exit_code_is_kept(folder: Path, command: list[str]) -> None:
    (folder / "plugin.toml").write_text("[plugin]\nid = 'p'\nversion = '1'\n[operations.x]\ntimeout = 1\n")
    done = typed(folder, command, "emulate", "plugin.toml", "--for", "3s", "--faults", "errors=10%")
    assert (done.returncode, done.stderr) == (0, "")
    assert "What a caller saw" in done.stdout
    assert typed(folder, command, "emulate", "none.toml").returncode == 1
