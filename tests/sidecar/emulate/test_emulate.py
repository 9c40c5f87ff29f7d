"""`plugwarden emulate`, as a person types it: what callers would see, second by second, and what to change."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from plugwarden import CallNotPermitted, ConfigurationError
from plugwarden.emulate import read_faults
from plugwarden.testing import Clock, recording

from tests.docs_pages import PAGES, commands_of, write_files

MANIFEST = """
[plugin]
id = "csv-export"
version = "1.4.0"
[operations.export]
timeout = 0.5
"""
COMMAND = [sys.executable, "-m", "plugwarden", "emulate"]


def typed(folder: Path, manifest: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "plugin.toml").write_text(manifest)
    environ = {**os.environ, "COLUMNS": "80", "PLUGWARDEN_DISABLED": "1"}
    return subprocess.run(
        [*COMMAND, "plugin.toml", *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip


def emulated(folder: Path, manifest: str, *words: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The events, and what callers of `export` saw."""
    done = typed(folder, manifest, *words, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("begun", "summary")
    return events, {**events[-1]["operations"]["export"], "advice": events[-1]["advice"]}


def test_a_plugin_in_good_health_answers_everybody_and_there_is_nothing_to_advise(tmp_path: Path) -> None:
    events, seen = emulated(tmp_path, MANIFEST, "--for", "20s", "--rate", "10", "--latency", "40ms")
    assert 150 <= seen["calls"] <= 250  # a Poisson stream of 200
    assert seen["callers_saw"] == {"answered": seen["calls"]}
    assert 0.03 < seen["p50_seconds"] < 0.05
    assert seen["advice"] == []
    stretches = [event for event in events if event["event"] == "stretch"]
    assert sum(one["calls"] for one in stretches) == sum(one["ok"] for one in stretches) == seen["calls"]
    assert [one["at_seconds"] for one in stretches][:20] == [float(second) for second in range(1, 21)]


def test_the_same_seed_gives_the_same_and_virtual_time_is_not_waited_for(tmp_path: Path) -> None:
    words = ["--for", "10m", "--rate", "5", "--every", "1m", "--faults", "errors=50% from 1m for 1m", "--json"]
    first, second = typed(tmp_path, MANIFEST, *words), typed(tmp_path, MANIFEST, *words)
    assert first.returncode == 0
    assert first.stdout == second.stdout
    assert typed(tmp_path, MANIFEST, *words, "--seed", "1").stdout != first.stdout


def test_the_gate_is_the_real_one_its_breaker_opens_after_as_many_failures_as_in_a_host(tmp_path: Path) -> None:
    failures = 0
    with recording(Clock()) as recorder:

        def fail() -> None:
            nonlocal failures
            failures += 1
            raise RuntimeError

        wrapped = recorder.sidecar.wrap(fail, plugin="p", version="1", timeout=0.5)
        for _ in range(100):
            with pytest.raises((RuntimeError, CallNotPermitted)):
                wrapped()
        assert recorder.last.refused
    # So slowly that no two calls are under way at once.
    _, seen = emulated(
        tmp_path, MANIFEST, "--for", "100s", "--rate", "1", "--latency", "1ms", "--faults", "errors=100%"
    )
    probes = sum(seen["failed"].values()) - failures
    assert seen["failed"].keys() == {"RuntimeError"}
    assert 1 <= probes <= 5  # open times double from 5 s
    assert seen["callers_saw"]["CallNotPermitted (circuit_open)"] == seen["refused"]["circuit_open"]


def test_a_table_of_80_columns_shows_the_breaker_and_ends_with_what_callers_saw(tmp_path: Path) -> None:
    manifest = (
        MANIFEST + "fallback = { last_good_seconds = 300 }\n[operations.a-rather-long-name-of-an-operation]\nrate = 5\n"
    )
    done = typed(tmp_path, manifest, "--for", "20s", "--faults", "export: latency=+2s from 5s for 5s")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "fault: export: latency=+2s from 5s for 5s" in lines
    rows = [line.split() for line in lines if re.match(r" *\d+s export", line)]
    assert [row[-3] for row in rows[:5]] == ["closed"] * 5
    assert "open" in {row[-3] for row in rows[5:14]}
    assert rows[19][7] == "closed"
    assert any("closed → open" in line for line in lines)
    saw = done.stdout.split("What a caller saw")[1]
    assert re.search(r"\d+ +\d+\.\d% +fallback", saw)
    assert re.search(r"\d+ +\d+\.\d% +CallNotPermitted \(rate_limited\)", saw)
    assert "operations.a-rather-long-name-of-an-operation.rate: refused" in " ".join(saw.split())


RUNNERS = {
    "inline": ("", {"answered late"}, {"answered"}),
    "coroutine": ("", {"TimeoutError"}, {"answered"}),
    "thread": ('runner = "thread"\n', {"DeadlineExceeded"}, {"answered"}),
    "process": ('runner = "process"\nworkers = 50\n', {"DeadlineExceeded"}, {"answered"}),
}


@pytest.mark.parametrize("runner", RUNNERS)
def test_what_a_deadline_does_is_what_the_runner_can_do(tmp_path: Path, runner: str) -> None:
    terms, late, quiet = RUNNERS[runner]
    words = ["--async"] if runner == "coroutine" else []
    _, seen = emulated(
        tmp_path, MANIFEST + "breaker = false\n" + terms, "--for", "20s", "--rate", "5", *words,
        "--faults", "latency=2s from 10s for 2s",
    )  # fmt: skip
    assert set(seen["callers_saw"]) == late | quiet
    assert seen["longest_seconds"] == pytest.approx(2.0 if runner == "inline" else 0.5, abs=0.001)
    assert any(text.startswith("operations.export.runner") for text in seen["advice"]) == (runner == "inline")


def test_threads_that_hang_keep_their_places_until_none_is_left(tmp_path: Path) -> None:
    manifest = MANIFEST + 'breaker = false\nrunner = "thread"\nbulkhead = { concurrent = 6 }\n'
    _, seen = emulated(tmp_path, manifest, "--for", "20s", "--rate", "5", "--faults", "hang from 10s")
    assert seen["callers_saw"]["DeadlineExceeded"] == 6
    assert seen["refused"]["bulkhead_full"] > 20
    assert seen["peak_running"] >= 6


def test_a_worker_that_is_gone_is_replaced_and_too_few_are_noticed(tmp_path: Path) -> None:
    manifest = MANIFEST + 'breaker = false\nrunner = "process"\nquota = { memory_bytes = 67108864 }\n'
    _, seen = emulated(
        tmp_path,
        manifest,
        "--for",
        "20s",
        "--rate",
        "2",
        "--faults",
        "exit from 5s for 5s, memory=128MB from 12s for 3s",
    )
    assert set(seen["callers_saw"]) == {"answered", "WorkerDied", "QuotaExceeded"}
    assert seen["failed"]["memory_bytes"] == seen["callers_saw"]["QuotaExceeded"]
    _, seen = emulated(tmp_path, manifest, "--for", "20s", "--rate", "30")
    assert seen["failed"]["timeout"] > 50
    assert any(text.startswith("operations.export.workers: ") for text in seen["advice"])


def test_a_plugin_that_exits_ends_the_host_where_it_runs_in_it(tmp_path: Path) -> None:
    events, seen = emulated(tmp_path, MANIFEST, "--for", "20s", "--faults", "exit from 5s")
    assert 5 < events[-1]["ended_seconds"] < 7
    assert events[-1]["host_ended_by"] == "export"
    assert seen["advice"][0].startswith(
        'operations.export.runner: "inline" runs in the host, which ended with the plugin'
    )


def test_a_plugin_that_hangs_without_a_deadline_is_given_one(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("timeout = 0.5", "")
    _, seen = emulated(tmp_path, manifest, "--for", "20s", "--faults", "hang from 10s on 50%")
    assert seen["still_waiting"] > 50
    advice = " ".join(seen["advice"])
    assert re.search(
        r"operations.export.timeout: is missing, and \d+ callers waited to the end; .* timeout = 0\.3", advice
    )
    assert "operations.export.bulkhead: is missing" in advice


def test_quarantine_and_probation_are_what_the_collector_would_say(tmp_path: Path) -> None:
    _, seen = emulated(
        tmp_path, MANIFEST + "fallback = { value = 1 }\n", "--for", "30s",
        "--faults", "quarantine from 5s for 10s, probation=50% from 20s for 10s",
    )  # fmt: skip
    assert 150 < seen["refused"]["quarantined"] < 250
    assert 60 < seen["refused"]["probation"] < 140
    assert set(seen["callers_saw"]) == {"answered", "fallback"}


def test_quotas_and_declared_errors_count_as_in_a_host(tmp_path: Path) -> None:
    manifest = MANIFEST + 'quota = { output_bytes = 1024, cpu_share = 0.5 }\ncaller_errors = ["KeyError"]\n'
    events, seen = emulated(
        tmp_path, manifest, "--for", "20s", "--faults", "output=2KB from 5s for 1s, errors=100% of KeyError from 12s for 5s"
    )  # fmt: skip
    assert seen["failed"]["output_bytes"] > 0
    assert seen["failed"]["KeyError"] > 50  # the caller's fault, so the breaker looks on
    assert events[0]["notes"] == ["operations.export.quota.cpu_share: is not emulated"]


def test_the_plugins_own_functions_are_called_in_real_time(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import asyncio\n"
        "def export(rows, separator=','):\n    return separator.join(rows)\n"
        "async def lookup(key):\n    await asyncio.sleep(0.01)\n    return {'a': 1}[key]\n"
    )
    manifest = MANIFEST + "[operations.lookup]\ntimeout = 1.0\nbreaker = false\n"
    began = time.monotonic()
    done = typed(
        tmp_path, manifest, "--for", "2s", "--json", "--call", "export=own:export", "--arguments", 'export=[["a", "b"]]',
        "--call", "lookup=own:lookup", "--arguments", 'lookup={"key": "b"}',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began >= 2
    summary = json.loads(done.stdout.splitlines()[-1])["operations"]
    assert summary["export"]["callers_saw"].keys() == {"answered"}
    assert summary["lookup"]["callers_saw"].keys() == {"KeyError"}
    assert summary["lookup"]["p50_seconds"] > 0.01


def test_a_ctrl_c_ends_it_with_what_was_seen_so_far(tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").write_text(MANIFEST)
    command = [*COMMAND, "plugin.toml", "--real-time", "--for", "1h", "--faults", "hang on 50%"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:  # a row a second: it is under way
        if re.match(r" *2s export", line):
            break
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert "cut short at " in out
    assert "still waiting at the end" in out


def test_a_ctrl_c_and_a_reader_that_had_enough_end_virtual_time_too(tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").write_text(MANIFEST)
    command = [*COMMAND, "plugin.toml", "--for", "24h", "--rate", "50"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not re.match(r" *2s export", process.stdout.readline()):
            pass
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert "cut short at " in out
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--faults", "latancy=2s"], "--faults: 'latancy=2s': there is no fault 'latancy'; did you mean latency?"),
        (["--faults", "exprot: hang"], "there is no operation 'exprot'; did you mean export?"),
        (["--faults", "latency=fast"], "latency: 'fast' is no time; write 500ms, 2s or 1m"),
        (["--faults", "errors=150%"], "errors: '150%' is no share; write 50% or 0.5"),
        (["--faults", "errors"], "is written errors=50%"),
        (["--faults", "hang=3"], "is written hang"),
        (["--faults", "hang frm 3s"], "there is no word 'frm'; did you mean from?"),
        (["--faults", "hang for"], "nothing stands after 'for'"),
        (["--faults", "memory=much"], "memory: 'much' is no size"),
        (["--faults", "errors=5% of no.such.Error"], "no.such cannot be imported"),
        (["--faults", "errors=5% of int"], "int is no exception"),
        (["--faults", "hang from 2m"], "begins after the end; make --for longer than 120s"),
        (["--faults", "gone.txt"], "--faults: gone.txt: there is no such file"),
        (["--faults", "faults/slow"], "--faults: faults/slow: there is no such file"),
        (["--faults", " , "], "there is no fault in it"),
        (["--for", "long"], "--for: 'long' is no time"),
        (["--rate", "0"], "--rate: '0' is no number of calls a second above 0"),
        (["--rate", "100000", "--for", "1h"], "more than 5000000 calls in all"),
        (["--call", "exprot=a:b"], "--call: 'exprot=a:b' does not begin with OPERATION=; there are export"),
        (["--call", "export=no_such:thing"], "--call: export: no_such:thing is not there"),
        (["--arguments", "export=[1"], "--arguments: export: not JSON"),
        (["--arguments", "export=[1]"], "name it with --call export=MODULE:FUNCTION"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_the_field_and_the_way_to_write_it(
    tmp_path: Path, words: list[str], said: str
) -> None:
    done = typed(tmp_path, MANIFEST, *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert said in done.stderr


def test_a_wrong_manifest_names_its_field(tmp_path: Path) -> None:
    done = typed(tmp_path, MANIFEST.replace("timeout", "timeuot"))
    assert done.stderr == "plugwarden: plugin.toml: operations.export.timeuot: no such field; did you mean timeout?\n"


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    assert write_files("how-to/emulate.md", tmp_path) == ["plugin.toml"]
    manifest = (tmp_path / "plugin.toml").read_text()
    commands = commands_of("how-to/emulate.md", "plugwarden emulate plugin.toml")
    assert len(commands) == 3
    first, *others = [typed(tmp_path, manifest, *words[2:]) for words in commands]
    assert (first.returncode, {done.returncode for done in others}) == (0, {0})
    page = (PAGES / "how-to/emulate.md").read_text("utf-8")
    shown = page.split("--for 40s\n")[1].split("```")[0].splitlines()
    for line in shown:
        if "…" not in line:
            assert line in first.stdout.splitlines(), line


def test_faults_stand_in_a_file_too_and_a_mistake_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "faults.txt"
    file.write_text("# the store is slow\nexport: latency=x3 from 1s for 2s on 50%\n\nhang for 500ms, exit  # both\n")
    slow, hang, leave = read_faults(str(file), ["export"])
    assert (slow.operation, slow.how, slow.amount, slow.from_seconds, slow.for_seconds, slow.share_ratio) == (
        "export", "x", 3.0, 1.0, 2.0, 0.5,
    )  # fmt: skip
    assert (hang.kind, hang.operation, hang.for_seconds, leave.kind) == ("hang", None, 0.5, "exit")
    file.write_text("hang\nhagn\n")
    with pytest.raises(ConfigurationError, match=r"faults.txt: line 2: 'hagn': there is no fault"):
        read_faults(str(file), ["export"])
