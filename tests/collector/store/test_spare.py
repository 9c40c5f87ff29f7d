"""Attempts that the store did not take in time: a kill, a cut line, a full disk and hostile text lose and invent none."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.app import SPARE_NAME
from plugwarden_collector.store.duckdb.rescue.restore import restore
from plugwarden_collector.store.ledger import Delivery
from plugwarden_collector.store.spare import MAX_BODY_BYTES, MAX_LINE_BYTES, ROOM_BYTES, SpareLog

from tests.collector.conftest import running
from tests.collector.support.stores import AT, path_of
from tests.collector.support.waiting import eventually


def told(number: int, body: str = '{"status": "firing"}') -> Delivery:
    return Delivery(AT + timedelta(seconds=number), "pager", f"a-{number}", "begun", 1, None, body, f"n-{number}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attempts.spare"


@pytest.fixture
def spare(path: Path) -> Iterator[SpareLog]:
    made = SpareLog(path)
    yield made
    made.close()


def left(path: Path) -> list[Delivery]:
    """What a start finds."""
    opened = SpareLog(path)
    try:
        return opened.recovered()
    finally:
        opened.close()


def test_what_was_written_is_found_by_the_next_start_until_the_store_has_it(path: Path, spare: SpareLog) -> None:
    for number in range(3):
        spare.write(told(number))
    assert left(path) == [told(0), told(1), told(2)]
    spare.forget(["n-0", "n-1"])
    assert len(left(path)) == 3, "the store knows which it has"
    spare.forget(["n-2"])
    assert left(path) == []
    spare.write(told(7))
    assert left(path) == [told(7)], "what an earlier use left behind is not read"


def test_a_killed_process_loses_nothing_that_it_wrote(path: Path) -> None:
    program = (
        "import os, signal, sys; from datetime import datetime; from pathlib import Path\n"
        "from plugwarden_collector.store.ledger import Delivery\n"
        "from plugwarden_collector.store.spare import SpareLog\n"
        "spare = SpareLog(Path(sys.argv[1]))\n"
        "spare.write(Delivery(datetime(2026, 1, 1), 'pager', 'a', 'begun', 1, None, '{}', 'n-1'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [item.id for item in left(path)] == ["n-1"]


@pytest.mark.parametrize("kept", [1, 30, -1])
def test_a_line_that_was_cut_ends_what_is_read(path: Path, spare: SpareLog, kept: int) -> None:
    spare.write(told(0))
    first = path.read_bytes().partition(b"\0")[0]
    spare.write(told(1))
    second = path.read_bytes().partition(b"\0")[0].removeprefix(first)
    with path.open("r+b") as opened:
        opened.seek(len(first))
        opened.write(second[:kept].ljust(len(second), b"\0"))
    assert left(path) == [told(0)]


@given(st.text(max_size=50), st.text(max_size=50))
def test_hostile_text_comes_back_as_it_was(receiver: str, body: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "attempts.spare"
        made = SpareLog(path)
        item = replace(told(1, body), receiver=f"{receiver}\n\0deadbeef {{}}\n")
        made.write(item)
        made.close()
        assert left(path) == [item]


@given(st.binary(max_size=300))
def test_a_file_of_anything_is_read_without_an_error(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "attempts.spare"
        path.write_bytes(data)
        assert left(path) == []


def test_its_size_is_fixed_and_what_it_has_no_room_for_is_counted(path: Path, spare: SpareLog) -> None:
    long = told(0, '{"status": "firing", "text": "%s"}' % ("x" * MAX_BODY_BYTES))
    spare.write(long)
    assert left(path) == [replace(long, body='{"status": "firing", "cut": true}')]
    number = 0
    while not spare.full:
        number += 1
        spare.write(told(number, "x" * MAX_BODY_BYTES))
    assert spare.unwritten == 0
    assert path.stat().st_size == ROOM_BYTES
    spare.write(replace(told(1), fingerprint="x" * MAX_LINE_BYTES))
    assert spare.unwritten == 1
    spare.forget([item.id for item in left(path)])
    assert not spare.full


def test_it_can_be_written_when_no_file_may_grow_any_more(path: Path) -> None:
    program = (
        "import resource, signal, sys; from datetime import datetime; from pathlib import Path\n"
        "from plugwarden_collector.store.ledger import Delivery\n"
        "from plugwarden_collector.store.spare import SpareLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "spare = SpareLog(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "spare.write(Delivery(datetime(2026, 1, 1), 'pager', 'a', 'begun', 1, None, '{}', 'n-1'))\n"
        "sys.exit(spare.unwritten)\n"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", program, str(path), str(ROOM_BYTES)], check=False)
    assert done.returncode == 0
    assert [item.id for item in left(path)] == ["n-1"]


def test_without_a_file_what_is_not_written_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "attempts.spare").symlink_to(elsewhere)
    spare = SpareLog(tmp_path / "attempts.spare")
    spare.write(told(0))
    assert (spare.unwritten, spare.full, spare.recovered()) == (1, False, [])
    assert elsewhere.read_text() == "mine"
    assert "has no room for attempts" in caplog.text


def test_what_it_holds_comes_into_a_store_that_was_restored_there(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup.duckdb"
    with running(data):
        pass
    shutil.copyfile(path_of(data), backup)
    killed = SpareLog(data / SPARE_NAME)
    killed.write(told(1))
    killed.close()
    restore(backup, data, at=AT, actor="ann", force=True)
    for _ in range(2):
        with running(data) as collector:
            eventually(lambda: collector.scalar("select count(*) from notifications where id = 'n-1'") == 1)
    assert left(data / SPARE_NAME) == []
