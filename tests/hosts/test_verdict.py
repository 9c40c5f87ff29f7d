"""What the table of `make hosts` rests on: it says NO where something differs, and what it started is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hosts.process import HostProcess
from tests.hosts.row import Row
from tests.hosts.trial import HostFailedError, Trial, run
from tests.hosts.verdict import judge

ROOT = Path(__file__).parents[2]
PLAIN = Trial(0, "a\nb\n", "", (("/x", 200, "x"),), {"out": "1"}, {"do": 3}, {}, 1.0, 0)
OBSERVED = replace(PLAIN, counted={"do": 3}, cpu_seconds=1.5)


def test_two_runs_that_are_alike_are_the_same_and_exact() -> None:
    verdict = judge([PLAIN], [replace(OBSERVED, out="b\na\n")])
    assert (verdict.same, verdict.exact, verdict.calls, verdict.cpu_ratio) == (True, True, 3, 1.5)


@pytest.mark.parametrize(
    "other",
    [
        {"code": 1},
        {"out": "a\n"},
        {"err": "oh"},
        {"answers": (("/x", 500, "x"),)},
        {"made": {"out": "2"}},
        {"made": {}},
        {"left": 1},
        {"tallied": {"do": 4}, "counted": {"do": 4}},
    ],
)
def test_whatever_differs_is_told(other: dict[str, object]) -> None:
    verdict = judge([PLAIN], [replace(OBSERVED, **other)])  # type: ignore[arg-type]
    assert not verdict.same
    assert verdict.exact
    assert not judge([PLAIN, replace(PLAIN, **other)], [OBSERVED]).same  # type: ignore[arg-type]


@pytest.mark.parametrize("counted", [{}, {"do": 2}, {"do": 4}, {"do": 3, "other": 1}])
def test_a_call_that_is_not_counted_or_was_not_made_is_told(counted: dict[str, int]) -> None:
    assert not judge([PLAIN], [replace(OBSERVED, counted=counted)]).exact


def test_a_host_whose_plugins_were_never_called_shows_nothing() -> None:
    assert not judge([replace(PLAIN, tallied={})], [replace(PLAIN, tallied={})]).exact


def test_the_cpu_time_of_what_a_host_starts_is_counted_and_all_of_it_ends(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    process = HostProcess([sys.executable, "-c", code], tmp_path, os.environ, tmp_path / "out", tmp_path / "err")
    ended = process.wait(60)
    assert ended.code == 0
    assert ended.cpu_seconds > 0.4
    assert ended.left == 0


def test_what_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    process = HostProcess(
        ["sh", "-c", "sleep 600 & sleep 600"], tmp_path, os.environ, tmp_path / "out", tmp_path / "err"
    )
    process.kill()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_server_that_does_not_come_up_is_told_with_its_last_words(tmp_path: Path) -> None:
    files = {"server.py": "raise SystemExit('no port for me')"}
    row = Row("x", (), files, ("python", "server.py"), frozenset(), requests=("/",))
    with pytest.raises(HostFailedError, match="no port for me"):
        run(row, Path(sys.executable), tmp_path / "host", observed=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--only", "flusk"], "no such host: flusk; there are mkdocs, sphinx"), (["--runs", "0"], "--runs: at least 1")],
)
def test_a_wrong_word_is_said_with_what_there_is(words: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hosts", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_ctrl_c_ends_what_runs_and_says_so(tmp_path: Path) -> None:
    # The environment that it builds first is what it is interrupted in; a host that runs is ended the same way, see above.
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hosts", "--only", "steps"], cwd=ROOT, stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stderr is not None
    assert "steps" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    assert "stopped; what it had started is ended" in process.communicate(timeout=60)[1]
    assert process.returncode == 130
