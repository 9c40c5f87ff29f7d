"""Before a person isolates something: what it would cost is shown, with `--dry-run` alone, and at a terminal with a question."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.api.client import CollectorClient, Path, Unreachable
from plugwarden_collector.command.forecast import agree

from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.suggested import suggested


def at_a_terminal(url: str, typed: str, *arguments: str) -> tuple[int, str]:
    """Return how a command ends that is run at a terminal, where somebody types, and all that was to be read there."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "PLUGWARDEN_COLLECTOR_URL": url, "PYTHONWARNINGS": "ignore", "TERM": "dumb"}
    command = [sys.executable, "-m", "plugwarden_collector", *arguments]
    process = subprocess.Popen(command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the terminal is gone with the last who had it open
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return process.wait(60), " ".join(shown.decode().split())


HIT = "Refused or answered by a fallback while it is isolated: about"


def held(collector: Running) -> list[str]:
    return [row["state"] for row in collector.api.get("quarantine") if row["ended_at"] is None]


def test_a_dry_run_says_what_it_would_cost_and_isolates_nothing(busy: Running) -> None:
    table = plugwarden("quarantine", "csv", "--version", "1", "--dry-run", url=busy.url)
    assert (table.returncode, table.stderr) == (0, "")
    lines = table.stdout.splitlines()
    assert lines[0] == "csv@1"
    assert lines[1].startswith(HIT)
    assert "in 1 process. Counted over the last" in lines[1]
    answer = json.loads(plugwarden("quarantine", "csv", "--dry-run", "--json", url=busy.url).stdout)
    assert answer["impact"]["instances"] == 1
    assert answer["impact"]["calls_per_minute"] > 0
    assert held(busy) == []


def test_a_dry_run_says_that_a_name_may_be_a_mistake(busy: Running) -> None:
    said = plugwarden("quarantine", "cvs", "--dry-run", url=busy.url).stdout
    assert "It hits no call: nobody called it in the last 5 min." in said
    assert said.splitlines()[-1] == "Note: nobody has called cvs so far; did you mean csv?"


@pytest.mark.parametrize("answered", ["n\n", "\n", "\x04"])
def test_at_a_terminal_a_person_sees_it_and_says_no(busy: Running, answered: str) -> None:
    code, shown = at_a_terminal(busy.url, answered, "quarantine", "csv", "--reason", "a test")
    assert HIT in shown
    assert "Isolate it? [y/N]" in shown
    assert code == 1
    assert held(busy) == []


def test_at_a_terminal_a_person_sees_it_and_says_yes(busy: Running) -> None:
    code, shown = at_a_terminal(busy.url, "y\n", "quarantine", "csv", "--reason", "a test")
    assert shown.index(HIT) < shown.index("Isolate it?") < shown.index("csv is quarantined")
    assert (code, held(busy)) == (0, ["quarantined"])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("slow", [True, False])
def test_a_forecast_that_does_not_come_in_time_keeps_nobody_from_isolating_and_a_collector_that_is_gone_does(
    monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    class Late(CollectorClient):
        def get(self, path: Path, **parameters: object) -> object:
            raise Unreachable(self.url, "it did not answer in time" if slow else "connection refused", slow=slow)

    shown = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    monkeypatch.setattr("sys.stderr", shown)
    with Late() as api, nullcontext() if slow else pytest.raises(Unreachable):
        agree(api, lambda: {"plugin": "csv"}, yes=False, as_json=False)
    assert ("did not answer in time" in " ".join(shown.getvalue().split())) is slow


@pytest.mark.parametrize("option", [("--yes",), ("--json",)])
def test_who_does_not_want_to_be_asked_is_not(busy: Running, option: Sequence[str]) -> None:
    code, shown = at_a_terminal(busy.url, "", "quarantine", "csv", "--reason", "a test", *option)
    assert "Isolate it?" not in shown
    assert (code, held(busy)) == (0, ["quarantined"])
    assert HIT in shown, "it is told all the same"


def test_a_script_is_not_asked_and_its_output_says_what_it_costs(busy: Running) -> None:
    answer = plugwarden("quarantine", "csv", "--reason", "a test", url=busy.url)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert HIT in answer.stdout
    (row,) = busy.api.get("quarantine")
    (entry,) = busy.api.get("audit", stream="decisions")
    assert row["evidence"] == entry["evidence"]
    assert entry["evidence"]["forecast"].startswith(HIT), "what was foreseen is on record"


def test_who_acts_says_why_and_who_looks_need_not(busy: Running) -> None:
    answer = plugwarden("quarantine", "csv", url=busy.url)
    assert answer.returncode == 2
    assert "--reason" in answer.stderr
    assert "--dry-run" in answer.stderr
    assert held(busy) == []


def test_a_suggestion_shows_it_before_it_is_followed(busy: Running) -> None:
    identity = suggested(busy, Scope("csv", "1"), "it fails")
    dry = plugwarden("approve", identity, "--dry-run", url=busy.url)
    assert dry.stdout.splitlines()[0] == "csv@1"
    assert HIT in dry.stdout
    assert plugwarden("approve", "q-none", "--dry-run", url=busy.url).returncode == 1
    code, shown = at_a_terminal(busy.url, "n\n", "approve", identity, "--reason", "a test")
    assert (code, HIT in shown) == (1, True)
    assert held(busy) == ["degraded"]


def test_a_suggestion_that_is_followed_says_what_it_costs(busy: Running) -> None:
    identity = suggested(busy, Scope("csv", "1"), "it fails")
    answer = plugwarden("approve", identity, "--reason", "a test", url=busy.url)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert HIT in answer.stdout
    identity = suggested(busy, Scope("csv"), "it fails")
    answer = plugwarden("approve", identity, "--reason", "a test", "--json", url=busy.url)
    assert "csv@1" in json.loads(answer.stdout)["forecast"], "what is isolated already"


def test_what_is_no_suggestion_any_more_is_a_conflict_in_a_dry_run_as_in_the_act(busy: Running) -> None:
    declined = suggested(busy, Scope("csv", "1"), "it fails")
    busy.api.post(("quarantine", declined, "decline"), {"reason": "a known blip"})
    isolated = busy.api.post("quarantine", {"force": True, "plugin": "csv", "version": "1", "reason": "by hand"})["id"]
    for identity, why in ((declined, "ended at"), (isolated, "is no suggestion")):
        dry = plugwarden("approve", identity, "--dry-run", url=busy.url)
        act = plugwarden("approve", identity, "--reason", "a test", url=busy.url)
        assert (dry.returncode, act.returncode) == (1, 1)
        assert why in dry.stderr
        assert why in act.stderr


def test_what_is_isolated_already_is_a_conflict_in_a_dry_run_too(busy: Running) -> None:
    plugwarden("quarantine", "csv", "--reason", "a test", url=busy.url)
    answer = plugwarden("quarantine", "csv", "--dry-run", url=busy.url)
    assert answer.returncode == 1
    assert "csv is quarantined already" in answer.stderr
