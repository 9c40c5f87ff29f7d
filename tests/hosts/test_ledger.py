"""`make hosts` goes on where it was stopped, runs anew what has changed, and two of them do not get into each other's way."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hosts import __main__ as hosts
from tests.hosts.ledger import Ledger
from tests.hosts.pages import SECTIONS
from tests.hosts.row import Row
from tests.hosts.trial import HostFailedError

ROW = Row("one", ("flask==3",), {"a.py": "pass"}, ("python", "a.py"), frozenset({"x", "y"}), varies=("at .*",))
FOUND = {
    "host": "one",
    "same": True,
    "exact": True,
    "calls": 3,
    "cpu_without_seconds": 1.0,
    "cpu_with_seconds": 1.0,
    "cpu_ratio": 1.0,
}


def test_what_is_done_is_known_until_anything_it_rests_on_changes(tmp_path: Path) -> None:
    Ledger(tmp_path, "sidecar", 3).note(ROW, FOUND)
    assert Ledger(tmp_path, "sidecar", 3).done(ROW) == FOUND
    assert Ledger(tmp_path, "another", 3).done(ROW) is None
    assert Ledger(tmp_path, "sidecar", 5).done(ROW) is None
    assert Ledger(tmp_path, "sidecar", 3).done(replace(ROW, requires=("flask==4",))) is None
    assert Ledger(tmp_path, "sidecar", 3).done(replace(ROW, files={"a.py": "1"})) is None
    section = SECTIONS[0]
    Ledger(tmp_path, "sidecar", 3).note(section, {"fault": ""})
    assert Ledger(tmp_path, "sidecar", 3).done(section) == {"fault": ""}


def test_a_ledger_that_cannot_be_read_is_as_none(tmp_path: Path) -> None:
    Ledger(tmp_path, "sidecar", 3).note(ROW, FOUND)
    (tmp_path / "one.json").write_text('{"stamp": ', "utf-8")
    assert Ledger(tmp_path, "sidecar", 3).done(ROW) is None


def test_an_environment_is_one_run_s_at_a_time(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path, "sidecar", 3), Ledger(tmp_path, "sidecar", 3)
    waited, entered = threading.Event(), threading.Event()

    def other() -> None:
        with second.holding("one", waited.set):
            entered.set()

    with first.holding("one", lambda: pytest.fail("nobody has it")):
        thread = threading.Thread(target=other)
        thread.start()
        assert waited.wait(30)
        assert not entered.is_set()
    assert entered.wait(30)
    thread.join()


def test_it_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [replace(ROW, name=name) for name in ("one", "broken", "two", "three")]
    ran: list[str] = []
    stop = {"two"}

    def run_host(row: Row, runs: int, pace: object) -> dict[str, object]:
        ran.append(row.name)
        if row.name in stop:
            raise KeyboardInterrupt
        return {"host": row.name, "error": "no index"} if row.name == "broken" else {**FOUND, "host": row.name}

    monkeypatch.setattr(hosts, "FOLDER", tmp_path)
    monkeypatch.setattr(hosts, "SECTIONS", ())
    monkeypatch.setattr(hosts, "_run_host", run_host)
    assert hosts._run_all(rows, 3, again=False, as_json=False) == 130
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == ["host", "one", "broken"]
    assert "2 of 4 hosts" in said.err
    stop.clear()
    ran.clear()
    assert hosts._run_all(rows, 3, again=False, as_json=False) == 1, "one could not be run"
    assert ran == ["broken", "two", "three"], "what could not be run is tried again"
    assert len(capsys.readouterr().out.splitlines()) == 5
    ran.clear()
    hosts._run_all(rows, 3, again=True, as_json=True)
    assert ran == ["one", "broken", "two", "three"]


def test_a_host_that_fails_is_told_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "build", lambda name, requires: Path("python"))

    def fails(*_: object, **__: object) -> None:
        raise HostFailedError("it ended before it listened")

    monkeypatch.setattr(hosts, "run", fails)
    assert hosts._run_host(ROW, 1, hosts._Pace(1))["error"] == "it ended before it listened"
