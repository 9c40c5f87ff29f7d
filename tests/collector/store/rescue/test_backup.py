"""Backups taken while data arrive hold together, are verified, and become stores again."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest
from plugwarden.contract import DirectiveSet
from plugwarden_collector.api.client import ApiError, CollectorClient
from plugwarden_collector.audit.entries import verify as verify_chain
from plugwarden_collector.errors import ConflictError, StoreError
from plugwarden_collector.store import Database, statement
from plugwarden_collector.store.duckdb.file import checkpoint
from plugwarden_collector.store.duckdb.ledger.state import load_directives
from plugwarden_collector.store.duckdb.rescue.backup_check import check_backup, keep
from plugwarden_collector.store.duckdb.rescue.restore import restore
from plugwarden_collector.store.duckdb.rescue.verify import verify

from tests.collector.conftest import Running, running
from tests.collector.support.command_line import plugwarden, plugwarden_process
from tests.collector.support.span_request import PROTOBUF, request
from tests.collector.support.stores import AT, fill, opened, path_of

# Files are what is tested, and to DuckDB a copy is not another file.
pytestmark = pytest.mark.usefixtures("migrated_anew")

PROBE_ROWS = 130_000
"""More than a row group: DuckDB writes such an insert into the file before it commits."""


def download(client: CollectorClient, file: Path) -> str:
    with file.open("wb") as sink:
        return client.download("backup", sink, lambda done, total: None)["x-plugwarden-manifest"]


def probe(connection: Any) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = connection.execute(
        "select batch, count(*) from probe group by all order by all"
    ).fetchall()
    return found


def test_a_copy_made_while_large_commits_and_deletes_go_on_is_the_store_as_of_its_checkpoint(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as store:
        database, writer = store.database, store.writer
        hold = database.checkpoints
        writer.run(lambda c: c.execute("create table probe (batch integer, text varchar)")).result(60)
        stop, held_off, done = threading.Event(), [], []

        def ingest() -> None:
            batch = 0
            while not stop.is_set():
                batch += 1
                insert = f"insert into probe select {batch}, md5(i::varchar) from range({PROBE_ROWS}) t(i)"
                writer.run(lambda c, sql=insert: c.execute(sql)).result(60)
                writer.run(lambda c, old=batch - 3: c.execute("delete from probe where batch = ?", [old])).result(60)
                checkpointed = writer.run_outside_transaction(lambda c: hold.checkpoint(c, threshold_bytes=1)).result(
                    60
                )
                (done if checkpointed else held_off).append(batch)

        thread = threading.Thread(target=ingest)
        thread.start()
        try:
            for number in range(3):
                while len(done) < 3 * (number + 1):
                    time.sleep(0.01)
                hold.take()

                def begin(connection: Any) -> tuple[int, list[tuple[int, int]]]:
                    hold.checkpoint_held(connection)
                    return database.path.stat().st_size, probe(connection)

                size, wanted = writer.run_outside_transaction(begin).result(60)
                copy = tmp_path / f"copy-{number}.duckdb"
                before = len(held_off)
                with copy.open("wb") as sink:
                    for position in range(0, size, 1 << 20):
                        sink.write(hold.read_at(position, min(1 << 20, size - position)))
                        time.sleep(0.005)
                while len(held_off) < before + 2:  # so that the copy did go on while data were stored
                    time.sleep(0.01)
                assert not hold.broken
                hold.release()
                with duckdb.connect(str(copy), read_only=True) as raw:
                    assert probe(raw) == wanted
                    assert all(rows == PROBE_ROWS for _, rows in wanted)
                assert verify(copy).intact
        finally:
            stop.set()
            thread.join()


def test_a_log_can_be_brought_into_the_file_after_a_row_was_replaced(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as store:
        hold = store.database.checkpoints
        for number in range(3):
            sql = f"insert or replace into meta values ('a', '{number}')"
            store.writer.run(lambda c, sql=sql: c.execute(sql)).result(60)
            assert store.writer.run_outside_transaction(lambda c: hold.checkpoint(c, threshold_bytes=1)).result(60)
            assert hold.log_bytes() == 0


def test_what_was_acknowledged_before_a_backup_is_in_it_once(collector: Running, tmp_path: Path) -> None:
    stop, acknowledged = threading.Event(), [0, 0]

    def send(sender: int) -> None:
        with httpx2.Client(trust_env=False) as client:
            while not stop.is_set():
                body = request(20, sender=str(sender), number=str(acknowledged[sender])).SerializeToString()
                client.post(f"{collector.http}/v1/traces", content=body, headers=PROTOBUF).raise_for_status()
                acknowledged[sender] += 1

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            while sum(acknowledged) < 20 * (number + 1):
                time.sleep(0.01)
            known = list(acknowledged)
            file = tmp_path / f"{number}.duckdb"
            check_backup(file, download(collector.api, file))
            with duckdb.connect(str(file), read_only=True) as raw:
                stored = raw.execute(
                    "select attributes['sender'], attributes['number']::int as number, count(*), count(distinct span_id) "
                    "from spans group by all order by all"
                ).fetchall()
            assert all(row[2:] == (20, 20) for row in stored)
            for sender in range(2):
                numbers = [row[1] for row in stored if row[0] == str(sender)]
                assert numbers == list(range(len(numbers)))
                assert len(numbers) >= known[sender]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_the_store_stays_locked_after_a_backup(collector: Running, tmp_path: Path) -> None:
    download(collector.api, tmp_path / "copy.duckdb")
    data = collector.collector.database.path.parent
    code = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    other = subprocess.run(
        [sys.executable, "-c", code, str(path_of(data))], capture_output=True, text=True, check=False
    )
    assert "lock" in other.stderr
    answer = plugwarden_process("store", "verify", "--data", str(data))
    assert (answer.returncode, "another process has it open" in answer.stderr) == (1, True)


def test_a_backup_needs_the_admin_scope(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"ops operate,read,ingest {'o' * 20}\nroot admin {'a' * 20}\n")
    with running(tmp_path / "data", PLUGWARDEN_TOKENS_FILE=str(tokens)) as collector:
        with CollectorClient(collector.url, token="o" * 20) as api, pytest.raises(ApiError, match="admin"):
            download(api, tmp_path / "a.duckdb")
        with CollectorClient(collector.url, token="a" * 20) as api:
            check_backup(tmp_path / "b.duckdb", download(api, tmp_path / "b.duckdb"))


def test_one_backup_at_a_time_and_none_is_left_behind_by_a_client_that_goes(collector: Running, tmp_path: Path) -> None:
    hold = collector.collector.database.checkpoints
    hold.take()
    with pytest.raises(ApiError, match="under way"):
        download(collector.api, tmp_path / "a.duckdb")
    hold.release()
    with httpx2.Client(trust_env=False) as client, client.stream("GET", f"{collector.url}/api/v1/backup") as answer:
        assert answer.status_code == 200  # and then it goes, with the body unread
    for _ in range(500):
        try:
            hold.take()
            break
        except ConflictError:
            time.sleep(0.01)
    else:
        pytest.fail("the hold was never released")
    hold.release()


def test_a_backup_that_takes_too_long_is_given_up_before_the_log_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LOG_BYTES", 1)
    monkeypatch.setattr(checkpoint, "HELD_LOG_BYTES", 50_000)
    with opened(tmp_path / "data") as store:
        hold = store.database.checkpoints
        store.writer.checkpoint().result(60)  # the log of a new store holds its schema
        hold.take()

        def step(size: int) -> bool:
            sql = f"insert into changes select now()::timestamp, 'a', null, null, null, md5(i::varchar) from range({size}) t(i)"
            store.writer.run(lambda c: c.execute(sql)).result(60)
            return bool(
                store.writer.run_outside_transaction(lambda c: hold.checkpoint(c, threshold_bytes=1)).result(60)
            )

        assert not step(10)
        assert not hold.broken
        assert step(5_000)
        assert hold.broken
        assert hold.log_bytes() == 0


def test_a_backup_is_only_kept_when_it_is_what_was_sent(collector: Running, tmp_path: Path) -> None:
    body = request(500).SerializeToString()
    httpx2.post(f"{collector.http}/v1/traces", content=body, headers=PROTOBUF).raise_for_status()
    file = tmp_path / "good.duckdb"
    manifest = download(collector.api, file)
    check_backup(file, manifest)
    whole, told = file.read_bytes(), json.loads(manifest)
    for wrong, found in (
        ({**told, "rows": {**told["rows"], "meta": 7}}, "rows of meta"),
        ({**told, "head": "f" * 64}, "last decision"),
        ({"rows": 1}, "did not say"),
    ):
        with pytest.raises(StoreError, match=found):
            check_backup(file, json.dumps(wrong))
    for cut in (0, 5_000, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(StoreError, match="not whole"):
            check_backup(file, manifest)


def test_the_command_writes_one_verified_file_and_replaces_none(collector: Running, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    answer = plugwarden("backup", str(folder), "--json", url=collector.url)
    assert (answer.returncode, answer.stderr) == (0, "")
    told = json.loads(answer.stdout)
    (file,) = folder.iterdir()
    assert told["file"] == str(file)
    assert told["verified"]
    again = plugwarden("backup", str(file), url=collector.url)
    assert (again.returncode, "--force" in again.stderr) == (1, True)
    assert plugwarden("backup", str(file), "--force", url=collector.url).returncode == 0
    assert [*folder.iterdir()] == [file]
    gone = plugwarden("backup", str(tmp_path / "none.duckdb"))
    assert (gone.returncode, (tmp_path / "none.duckdb").exists()) == (1, False)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, migrated_anew: None) -> Path:
    """The folder of a store with a bit of everything."""
    folder = tmp_path_factory.mktemp("origin")
    with opened(folder / "data") as store:
        fill(store, folder / "rules.toml", seconds=16)
    return folder / "data"


@pytest.fixture
def backup(origin: Path, tmp_path: Path) -> Path:
    """A backup of a store with a bit of everything, which is beside it."""
    shutil.copytree(origin, tmp_path / "origin")
    return Path(shutil.copyfile(path_of(origin), tmp_path / "backup.duckdb"))


def told_by(database: Database) -> DirectiveSet:
    """Return what a store last told sidecars."""
    with database.reading() as cursor:
        return load_directives(cursor, "no epoch")


def test_a_restored_store_is_the_backup_with_a_new_epoch_and_says_so(backup: Path, tmp_path: Path) -> None:
    report, aside = restore(backup, tmp_path / "data", at=AT + timedelta(hours=1), actor="ops")
    assert aside is None
    origin, restored = Database(tmp_path / "origin"), Database(tmp_path / "data")
    for name in ("spans", "logs", "metric_points", "plugin_calls", "alerts", "quarantines", "alert_events", "silences"):
        rows = [database.cursor().execute(f"from {name} order by all").fetchall() for database in (origin, restored)]
        assert rows[0]
        assert rows[0] == rows[1], name
    # Sidecars take a lower revision only from another epoch: both the store and what it last told must have a new one.
    old, new = told_by(origin), told_by(restored)
    assert old.revision > 0
    assert new == DirectiveSet(restored.epoch, old.revision, old.directives)
    assert restored.epoch != origin.epoch
    chain = restored.fetch(statement("chain"))
    assert verify_chain(chain) == (report.decisions, None)
    assert (chain[-1]["kind"], chain[-1]["actor"], chain[-1]["says"]) == ("restored", "local operator", "ops")
    assert backup.name in chain[-1]["reason"]
    origin.close()
    restored.close()


def test_sidecars_that_have_seen_later_revisions_obey_a_restored_collector(backup: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "origin") as store:
        epoch = store.database.epoch
    restore(backup, tmp_path / "data", at=AT, actor="ops")
    with running(tmp_path / "data") as collector:
        told = collector.api.get("directives", after=1_000, epoch=epoch, wait=0)
        assert told["epoch"] != epoch
        assert [item["scope"]["plugin"] for item in told["directives"]] == ["csv"]


def test_a_store_is_moved_aside_only_when_told_and_never_deleted(backup: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "data") as store:
        fill(store, tmp_path / "rules.toml", seconds=2)
    before = hashlib.sha256(path_of(tmp_path / "data").read_bytes()).digest()
    refused = plugwarden_process("restore", str(backup), "--data", str(tmp_path / "data"))
    assert (refused.returncode, "--force" in refused.stderr) == (1, True)
    assert hashlib.sha256(path_of(tmp_path / "data").read_bytes()).digest() == before
    done = plugwarden_process("restore", str(backup), "--data", str(tmp_path / "data"), "--force", "--json")
    assert done.returncode == 0, done.stderr
    aside = Path(json.loads(done.stdout)["moved_aside"])
    assert hashlib.sha256(path_of(aside).read_bytes()).digest() == before
    assert verify(path_of(tmp_path / "data")).intact


def test_a_running_collectors_store_is_not_replaced(backup: Path, collector: Running) -> None:
    data = collector.collector.database.path.parent
    answer = plugwarden_process("restore", str(backup), "--data", str(data), "--force")
    assert (answer.returncode, "another process has it open" in answer.stderr) == (1, True)
    assert collector.scalar("select count(*) from spans") == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "log"])
def test_what_is_no_whole_backup_is_not_restored(backup: Path, tmp_path: Path, damage: str) -> None:
    raw = bytearray(backup.read_bytes())
    if damage == "cut":
        backup.write_bytes(raw[:-1])
    elif damage == "flipped":
        for position in range(20_000, len(raw), 100_000):
            raw[position] ^= 1
        backup.write_bytes(raw)
    elif damage == "other":
        backup.unlink()
        duckdb.connect(str(backup)).close()
    else:
        Path(f"{backup}.wal").write_bytes(b"x")
    with pytest.raises(StoreError, match=str(backup)):
        restore(backup, tmp_path / "data", at=AT, actor="ops")
    assert not (tmp_path / "data").exists()


def test_a_restore_cut_off_in_the_middle_does_not_start_empty(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    keep(backup, tmp_path / "data" / "plugwarden.duckdb.restoring")
    with pytest.raises(StoreError, match="interrupted"):
        Database(tmp_path / "data")
