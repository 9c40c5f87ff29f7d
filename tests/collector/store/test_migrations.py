"""Every store that any earlier version made opens, is brought forward, and answers what it answered; also after kills."""

from __future__ import annotations

import json
import lzma
import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from plugwarden_collector.announce.message import Telling
from plugwarden_collector.announce.stored import telling_in
from plugwarden_collector.announce.subject import Subject
from plugwarden_collector.audit.entries import verify as verify_chain
from plugwarden_collector.store import Database, statement
from plugwarden_collector.store.duckdb.rescue.verify import verify

from tests.collector.fixtures.make import FOLDER, QUESTIONS, answer
from tests.collector.support.stores import AT, fill, opened, path_of

# Migrations are what is tested.
pytestmark = pytest.mark.usefixtures("migrated_anew")

FIXTURES = sorted(file.name.removesuffix(".duckdb.xz") for file in FOLDER.glob("*.duckdb.xz"))


def unpack(name: str, folder: Path) -> dict[str, Any]:
    """Lay a kept store out; answers what it is asked and what it answered when it was made."""
    folder.mkdir()
    for ending in ("", ".wal"):
        file = FOLDER / f"{name}.duckdb{ending}.xz"
        if file.exists():
            Path(f"{path_of(folder)}{ending}").write_bytes(lzma.decompress(file.read_bytes()))
    found: dict[str, Any] = json.loads(lzma.decompress((FOLDER / f"{name}.answers.json.xz").read_bytes()))
    return found


def check(folder: Path, asked: dict[str, Any]) -> None:
    """The store in a folder, opened by this version, answers the same as the one that made it."""
    database = Database(folder)
    with database.reading() as cursor:
        for name, item in asked.items():
            assert answer(cursor, item["question"]) == item["answer"], name
    assert verify_chain(database.fetch(statement("chain"))) == (len(asked["decisions"]["answer"]), None)
    database.close()


def test_there_is_a_fixture_for_every_schema() -> None:
    assert "schema-1" in FIXTURES
    newest = max(int(name.removeprefix("schema-")) for name in FIXTURES)
    migrations = Path(sys.modules[Database.__module__].__file__ or "").parent / "migrations"
    numbers = [int(file.name.split("_")[0]) for file in migrations.glob("*.sql")]
    assert newest == max(numbers), "make one for the new schema: python -m tests.collector.fixtures.make"


@pytest.mark.parametrize("name", FIXTURES)
def test_an_earlier_store_answers_what_it_answered(name: str, tmp_path: Path) -> None:
    asked = unpack(name, tmp_path / "data")
    assert asked.keys() == QUESTIONS.keys()
    check(tmp_path / "data", asked)
    check(tmp_path / "data", asked)  # and a second time, when there is nothing to bring forward
    report = verify(path_of(tmp_path / "data"))
    assert report.intact, report


@pytest.mark.parametrize("name", FIXTURES)
def test_an_earlier_store_goes_on_taking_data(name: str, tmp_path: Path) -> None:
    asked = unpack(name, tmp_path / "data")
    with opened(tmp_path / "data") as store:
        fill(store, tmp_path / "rules.toml", seconds=3, first=3600)
        with store.database.reading() as cursor:
            counted = cursor.execute("select count(*) from spans").fetchall()
            (budget,) = cursor.execute("select total, bad, versions from plugin_budgets").fetchall()
            calls = "from plugin_calls where bucket_start <= timestamp '2026-01-01 13:00:00'"  # it was judged then
            (stored,) = cursor.execute(f"select sum(calls), count(distinct plugin_version) {calls}").fetchall()
    assert counted == [(len(asked["spans"]["answer"]) + 15,)]
    assert (budget[0], budget[2]) == stored, "what was stored before there were such budgets is in it"
    assert 0 < budget[1] < budget[0]


@pytest.mark.parametrize("name", FIXTURES)
def test_calls_of_an_earlier_store_had_arrived_and_new_ones_arrive(name: str, tmp_path: Path) -> None:
    unpack(name, tmp_path / "data")
    with opened(tmp_path / "data") as store:
        with store.database.reading() as cursor:
            known = cursor.execute("select distinct tenant_id, host_name, batch from call_seconds").fetchall()
        if name not in ("schema-11", "schema-12", "schema-13", "schema-14", "schema-17"):  # those that tell them apart
            assert known == [("", "", 0)]
        before = store.telemetry.judging.arrivals(0, [], [], AT, AT + timedelta(days=1)).mark
        fill(store, tmp_path / "rules.toml", seconds=3, first=3600)
        found = store.telemetry.judging.arrivals(before, [], ["csv"], AT + timedelta(hours=1), AT + timedelta(days=1))
        assert sum(item.counts.total for item in found.streams) == 3 * (
            60 + 3
        )  # by points, and by spans that are calls
        assert {(cell.machine, cell.tenant) for cell in found.cells} == {
            ("h", tenant) for tenant in ("", "tenant 0", "tenant 1", "tenant 2")
        }
        with store.database.reading() as cursor:
            columns = [row[0] for row in cursor.execute("describe plugin_calls").fetchall()]
    assert not {"tenant_id", "host_name", "batch"} & set(columns)


def test_what_receivers_held_for_open_in_an_earlier_store_they_hold_for_open(tmp_path: Path) -> None:
    unpack("schema-13", tmp_path / "data")
    alert = {"labels": {"alertname": "x", "severity": "page"}, "annotations": {"summary": "it fails", "description": "so"},
             "startsAt": "2026-01-02T03:04:05.500Z"}  # fmt: skip
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    for second, key, status, told in (
        (0, "open", "sent", "firing"), (0, "ended", "sent", "firing"), (1, "ended", "sent", "resolved"),
        (0, "untold", "failed", "firing"), (0, "given up", "sent", "firing"), (1, "given up", "given_up", "resolved"),
    ):  # fmt: skip
        body = json.dumps({"status": told, "alerts": [alert]})
        connection.execute(
            "insert into notifications values (?, 'pager', ?, ?, 1, null, ?)", [AT + timedelta(seconds=second), key, status, body]
        )  # fmt: skip
    connection.close()
    with opened(tmp_path / "data") as store:
        found = [telling_in(row) for row in store.ledger.tellings()]
    at = datetime(2026, 1, 2, 3, 4, 5, 500_000)
    subject = Subject("open", alert["labels"], "it fails", "so", at)  # type: ignore[arg-type]
    assert found == [(("pager", "open"), Telling(subject, AT, AT))]


MIGRATING = """
import sys
from pathlib import Path
from plugwarden_collector.store.duckdb import database
known = database._migrations
# Two more schemas, each of them with enough to do that a kill finds it at work.
further = {
    9001: "create table later as select i, md5(i::varchar) as text from range(150000) t(i); create table empty (a int)",
    9002: "create table last as from later where i % 2 = 0; alter table later add column b integer default 7",
}
database._migrations = lambda: {**known(), **further}
print("begin", flush=True)
store = database.Database(Path(sys.argv[1]))
with store.reading() as cursor:
    print(cursor.execute("select (select count(*) from last), (select sum(b) from later)").fetchall(), flush=True)
store.close()
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_migration_killed_half_way_is_done_at_the_next_start(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    asked = unpack(FIXTURES[0], tmp_path / "data")
    command = [sys.executable, "-W", "ignore", "-c", MIGRATING, str(tmp_path / "data")]
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.readline() == "begin\n"
            time.sleep(chance.uniform(0, 0.25))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "begin\n[(75000, 1050000)]\n"
    with duckdb.connect(str(path_of(tmp_path / "data")), read_only=True) as raw:
        assert raw.execute("select max(number) from migrations").fetchall() == [(9002,)]
        for name, item in asked.items():
            assert answer(raw, item["question"]) == item["answer"], name
