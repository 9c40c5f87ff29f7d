"""The `plugwarden` command: tables for people, JSON for programs, one line for what went wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import httpx2
import pytest
from plugwarden import Sidecar
from plugwarden_collector.clock import utc_now
from plugwarden_collector.command.processes import collector_command
from plugwarden_collector.control.backtest import backtest
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.rules.file import DEFAULT_RULES

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.command_line import plugwarden, plugwarden_process
from tests.collector.support.stores import AT, crash, metrics, opened
from tests.collector.support.waiting import eventually

ASKING = [
    ["plugins"], ["plugins", "csv"], ["alerts"], ["alerts", "--rules"], ["quarantines"], ["capacity"],
    ["query", "--named"], ["query", "--named", "demand"], ["query", "--named", "limits"],
    ["capacity", "--by", "operation"], ["capacity", "--by", "owner"], ["capacity", "--by", "tenant"], ["capacity", "--store"],
    ["capacity", "--forecast"], ["capacity", "csv", "--forecast"], ["capacity", "--what-if", "traffic:csv=2", "--what-if", "hosts=+1"],
    ["silences", "list"], ["corrections", "list"], ["audit", "list"], ["audit", "verify"],
    ["query", "select plugin_id, sum(calls) as calls from plugin_calls group by all"],
]  # fmt: skip


@pytest.mark.parametrize("command", ASKING, ids=lambda command: " ".join(command)[:20])
def test_every_question_has_a_table_and_json(busy: Running, command: list[str]) -> None:
    table = plugwarden(*command, url=busy.url)
    assert (table.returncode, table.stderr) == (0, "")
    assert all(len(line) <= 80 for line in table.stdout.splitlines())
    answer = plugwarden(*command, "--json", url=busy.url)
    assert answer.returncode == 0
    json.loads(answer.stdout)


def test_a_change_that_cannot_be_is_told_with_what_to_write(busy: Running) -> None:
    for change, said in (
        ("trafic=2", "'trafic=2' is no change; write traffic=1.5, "),
        ("traffic=-1", "take a factor from 0 to 1000"),
        ("hosts=-99", "one at least must be left"),
        ("remove=nobody", "no plugin 'nobody' has made a call in this time"),
    ):
        refused = plugwarden("capacity", "--what-if", change, url=busy.url)
        assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
    twice = plugwarden("capacity", "--forecast", "--store", url=busy.url)
    assert (twice.returncode, "choose one" in twice.stderr) == (2, True)


def test_a_long_name_breaks_no_figure(busy: Running) -> None:
    sidecar = Sidecar(service="host", endpoint=busy.http, export_interval_seconds=0.2)
    name = "a-plugin-whose-name-is-as-long-as-half-of-a-line-of-a-terminal"
    sidecar.wrap(lambda: None, plugin=name, version="1", operation="run")()
    sidecar.close(timeout=10)
    eventually(lambda: busy.api.plans.demand(plugin=name).rows)
    lines = plugwarden("capacity", name, url=busy.url).stdout.splitlines()
    assert lines[0].split() == ["plugin", name]
    assert [line.rpartition("  ")[0].strip() for line in lines[1:6]] == [
        "calls/s",
        "peak/s",
        "at once",
        "peak",
        "CPU cores",
    ]
    assert all(len(line) <= 80 for line in lines)


def test_a_question_that_has_no_such_name_is_told_which_there_are(busy: Running) -> None:
    refused = plugwarden("query", "--named", "demands", url=busy.url)
    assert (refused.returncode, "'demands' is no question; they are demand, busiest-minute" in refused.stderr) == (
        1,
        True,
    )


def test_quarantine_and_release_from_the_command_line(busy: Running) -> None:
    held = json.loads(
        plugwarden("quarantine", "csv", "--version", "1", "--reason", "a test", "--json", url=busy.url).stdout
    )
    assert (held["scope"], held["warning"]) == ("csv@1", None)
    assert "csv" in plugwarden("quarantines", url=busy.url).stdout
    assert plugwarden("release", held["id"], "--reason", "over", url=busy.url).returncode == 0


def test_a_correction_from_the_command_line(busy: Running) -> None:
    day = f"{utc_now():%Y-%m-%d}"

    def corrections(*words: str) -> subprocess.CompletedProcess[str]:
        return plugwarden("corrections", *words, url=busy.url)

    def add(until: str) -> subprocess.CompletedProcess[str]:
        span = ("--from", f"{day}T00:00", "--until", until)  # without a zone it is UTC
        return corrections("add", *span, "--plugins", "c*", "--reason", "a test", "--json")

    refused = add(f"{day}T01:00+01:00")
    assert (refused.returncode, "ends_at: must be later than starts_at" in refused.stderr) == (1, True)
    made = json.loads(add(f"{day}T01:30+01:00").stdout)
    assert (made["starts_at"], made["ends_at"], made["plugins"]) == (f"{day}T00:00:00Z", f"{day}T00:30:00Z", "c*")
    listed = corrections("list").stdout
    assert "plugins c*" in listed
    assert made["id"] in listed, "an id that is to be copied is not broken at 80 columns"
    assert [item["id"] for item in json.loads(corrections("list", "--json").stdout)] == [made["id"]]
    assert "counts again" in corrections("withdraw", made["id"], "--reason", "over").stdout
    assert "nothing is left out of budgets" in corrections("list").stdout
    gone = corrections("end", made["id"], "--reason", "over")
    assert (gone.returncode, "there is no correction" in gone.stderr) == (1, True)
    wrong = corrections("add", "--from", "noon", "--until", "x", "--reason", "a test")
    assert (wrong.returncode, "--from: 'noon' is no time" in wrong.stderr) == (1, True)


def test_who_isolates_what_nobody_has_called_has_to_force_it_and_is_told(busy: Running) -> None:
    for named, said in (
        (("csv", "--version", "11"), "version 11 of csv so far; did you mean 1? Known versions of csv: 1."),
        (("cvs",), "cvs so far; did you mean csv? Known plugins: "),
    ):
        refused = plugwarden("quarantine", *named, "--reason", "a test", "--yes", url=busy.url)
        assert refused.returncode == 1
        assert f"nobody has called {said}" in " ".join(refused.stderr.split())
        answer = plugwarden("quarantine", *named, "--force", "--reason", "a test", url=busy.url)
        assert answer.returncode == 0
        assert f"nobody has called {said.split(' Known')[0]}" in " ".join(answer.stdout.split())
    assert {row["plugin_id"] for row in busy.api.get("quarantine")} == {"csv", "cvs"}


def test_a_view_can_be_exported(busy: Running, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    file = tmp_path / "calls.parquet"
    assert plugwarden("export", "plugin_calls", str(file), url=busy.url).returncode == 0
    assert sum(pq.read_table(file).column("calls").to_pylist()) == 10
    assert plugwarden("export", 'x"; drop', str(file), url=busy.url).returncode == 1


def test_what_is_wrong_takes_one_line_and_says_what_to_do() -> None:
    answer = plugwarden_process("plugins")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1
    assert "plugwarden up" in answer.stderr


def test_a_rules_file_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[slo]]\nname = "a"\nobjective = 0.99\n')
    good = plugwarden("rules", "check", str(file))
    assert (good.returncode, "14.4" in good.stdout) == (0, True)
    file.write_text('[[slo]]\nname = "a"\nobjectiv = 0.99\n')
    bad = plugwarden("rules", "check", str(file), "--json")
    assert bad.returncode == 1
    assert "did you mean objective" in " ".join(json.loads(bad.stdout)["problems"])


def test_a_backtest_decides_what_the_live_loop_would_have(tmp_path: Path) -> None:
    with running(tmp_path / "data") as collector:  # the built-in rules only observe
        sidecar = Sidecar(service="host", endpoint=collector.http, export_interval_seconds=0.2)

        def fail() -> None:
            raise OSError

        good = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
        bad = sidecar.wrap(fail, plugin="csv", version="2", operation="x", breaker=False, fallback=lambda: None)
        for _ in range(40):
            good()
            bad()
        assert sidecar.close(timeout=10)
        assert collector.api.get("quarantine") == []
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    answer = plugwarden("rules", "backtest", str(file), "--data", str(tmp_path / "data"), "--json")
    report = json.loads(answer.stdout)
    assert [(item["kind"], item["scope"]) for item in report["decisions"]] == [("quarantined", "csv@2")]
    nothing = plugwarden("rules", "backtest", str(file), "--data", str(tmp_path / "empty"))
    assert "there is no store here" in nothing.stderr


def test_a_backtest_counts_what_a_killed_collector_had_stored_and_not_counted(tmp_path: Path) -> None:
    with opened(tmp_path / "live") as store:
        for second in range(40):
            store.send(Signal.METRICS, metrics(second))
        crash(store, tmp_path / "killed")
    report = backtest(tmp_path / "killed", DEFAULT_RULES).as_dict()
    assert report["from"] == AT
    assert report["ticks"] >= 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_collector_that_is_stopped_ends_without_a_word(tmp_path: Path, number: int) -> None:
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    process = subprocess.Popen(
        collector_command("--data", str(tmp_path), *free),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    body = metrics(1)
    answer = httpx2.post(
        f"http://{ready['http']}/v1/metrics", content=body, headers={"content-type": "application/x-protobuf"}
    )
    assert answer.status_code == 200
    assert httpx2.get(f"http://{ready['api']}/api/v1/plugins").status_code == 200
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(output)["audit"]["access"]["sequence"] >= 1, "the last line holds the heads of the log"


def test_an_address_in_use_is_said_so(collector: Running, tmp_path: Path) -> None:
    answer = plugwarden_process("collector", "--data", str(tmp_path / "other"), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0",
                        "--api", collector.url.removeprefix("http://"))  # fmt: skip
    assert answer.returncode == 2
    assert "--api: cannot listen" in answer.stderr


def test_the_log_is_exported_and_verified_against_what_was_exported(busy: Running, tmp_path: Path) -> None:
    held = json.loads(plugwarden("quarantine", "x", "--force", "--reason", "a test", "--json", url=busy.url).stdout)
    assert plugwarden("release", held["id"], "--reason", "over", "--actor", "ann", url=busy.url).returncode == 0
    file = tmp_path / "log.jsonl"
    done = plugwarden("audit", "export", str(file), url=busy.url)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    *rows, heads = map(json.loads, file.read_text("utf-8").splitlines())
    assert next(row["says"] for row in rows if row["stream"] == "decisions") == "ann"
    assert heads["decisions"] == json.loads(plugwarden("audit", "head", "--json", url=busy.url).stdout)["decisions"]
    for anchor in (str(file), heads["decisions"]["hash"]):
        assert plugwarden("audit", "verify", "--anchor", anchor, url=busy.url).returncode == 0
    wrong = plugwarden("audit", "verify", "--anchor", "ab" * 32, url=busy.url)
    assert (wrong.returncode, "the anchor abab" in wrong.stdout) == (1, True)
    unreadable = plugwarden("audit", "verify", "--anchor", "nowhere", url=busy.url)
    assert (unreadable.returncode, "64 hex digits" in unreadable.stderr) == (2, True)
    assert "refused" not in plugwarden("audit", "list", "--access", url=busy.url).stdout
    assert "there is nothing to explain" in plugwarden("audit", "accept", "--reason", "nothing", url=busy.url).stdout
    again = plugwarden("audit", "export", str(file), url=busy.url)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)


def test_a_silence_from_the_command_line(busy: Running) -> None:
    held = json.loads(plugwarden("quarantine", "csv", "--reason", "a test", "--json", url=busy.url).stdout)
    seen = plugwarden("silences", "preview", "plugin=~c.*", url=busy.url).stdout
    assert "of 1 nobody is told" in seen
    assert held["id"] in " ".join(seen.split())
    length = ("--for", "1h", "--reason", "known")
    made = json.loads(plugwarden("silences", "add", "plugin=csv", *length, "--json", url=busy.url).stdout)
    assert [row["key"] for row in made["hides"]] == [held["id"]]
    assert plugwarden("silences", "extend", made["id"], *length, url=busy.url).returncode == 0
    listed = plugwarden("silences", "list", url=busy.url).stdout
    assert made["id"] in listed, "an id that is to be copied is not broken at 80 columns"
    assert 'plugin="csv"' in listed
    assert max(map(len, listed.splitlines())) <= 80
    assert plugwarden("silences", "end", made["id"], "--reason", "over", url=busy.url).returncode == 0
    assert (
        json.loads(plugwarden("silences", "list", "--ended", "1h", "--json", url=busy.url).stdout)[0]["id"]
        == made["id"]
    )
    wrong = plugwarden("silences", "add", "plugin=~(", *length, url=busy.url)
    assert (wrong.returncode, "no pattern" in wrong.stderr) == (1, True)


def test_an_acknowledgement_from_the_command_line(busy: Running) -> None:
    held = json.loads(plugwarden("quarantine", "csv", "--reason", "a test", "--json", url=busy.url).stdout)
    assert "is acknowledged until" in plugwarden("ack", held["id"], "--reason", "on it", url=busy.url).stdout
    assert plugwarden("ack", "q-none", "--reason", "on it", url=busy.url).returncode == 1


def test_a_runbook_is_printed_whole_and_its_commands_run(collector: Running) -> None:
    held = collector.api.post("quarantine", {"force": True, "plugin": "geo", "reason": "it leaks"})
    table = plugwarden("runbook", held["id"], url=collector.url)
    assert (table.returncode, table.stderr) == (0, "")
    assert all(len(line) <= 80 for line in table.stdout.splitlines())
    assert "    plugwarden release" in table.stdout
    answer = json.loads(plugwarden("runbook", held["id"], "--json", url=collector.url).stdout)
    assert answer["text"].rstrip() == table.stdout.rstrip()
    assert (
        plugwarden("runbook", held["id"], "--markdown", url=collector.url).stdout.rstrip()
        == answer["markdown"].rstrip()
    )
    unknown = plugwarden("runbook", "q-none", url=collector.url)
    assert (unknown.returncode, "there is no alert, quarantine or incident" in unknown.stderr) == (1, True)
