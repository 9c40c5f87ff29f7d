"""What can be read of a damaged store is saved, and what is lost is told."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import httpx2
import pytest
from plugwarden_collector.errors import StoreError
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.file.format import HEADER_BYTES, LogState, read_header, read_log
from plugwarden_collector.store.duckdb.file.inspect import logs_of
from plugwarden_collector.store.duckdb.rescue.salvage import salvage
from plugwarden_collector.store.duckdb.rescue.verify import verify

from tests.collector.conftest import running
from tests.collector.support.command_line import plugwarden_process
from tests.collector.support.span_request import PROTOBUF, request
from tests.collector.support.stores import (
    AT,
    Crashed,
    fill,
    fingerprints,
    opened,
    path_of,
    repeat_spans,
    traces,
)

# Files are what is tested, and to DuckDB a copy is not another file.
pytestmark = pytest.mark.usefixtures("migrated_anew")

SPANS = 300_000
BLOCK = 262_144


def test_a_log_broken_before_its_last_commit_is_refused_and_salvaged_up_to_there(
    crashed: Crashed, tmp_path: Path
) -> None:
    shutil.copytree(crashed.folder, tmp_path / "data")
    path = path_of(tmp_path / "data")
    log = logs_of(path)[0]
    with log.open("r+b") as opened_log:
        opened_log.seek(log.stat().st_size // 2)
        opened_log.write(b"\xff\x00\xff")
    read = read_log(log)
    assert read.state is LogState.DAMAGED
    with pytest.raises(
        StoreError, match=rf"{read.commits} commits before that are whole, {read.lost_commits} after it"
    ):
        Database(tmp_path / "data")
    answer = plugwarden_process("store", "verify", "--data", str(tmp_path / "data"), "--json")
    report = json.loads(answer.stdout)
    assert (answer.returncode, report["intact"]) == (1, False)
    assert all(table["problem"] is None for table in report["tables"])
    found = salvage(path, tmp_path / "saved", at=AT, actor="ops")
    assert found.lost_commits == read.lost_commits > 0
    assert not found.complete
    with opened(tmp_path / "saved") as store:
        saved = fingerprints(store.database.cursor())
    for name in ("span_rows", "log_rows", "point_rows", "alert_events"):
        if name in saved:
            assert saved[name][0] <= crashed.last[name][0]
    total = sum(rows for rows, _ in saved.values())
    assert 30_000 < total < sum(rows for rows, _ in crashed.last.values())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with several row groups of spans, written out."""
    folder = tmp_path_factory.mktemp("large")
    with opened(folder / "data") as store:
        fill(store, folder / "rules.toml", seconds=6, spans=20)
        store.send(Signal.TRACES, traces(1_000, SPANS // 12))
        repeat_spans(store, 11)
    return folder / "data"


def block_of_spans(path: Path) -> int:
    """A block in which spans' values are, away from both ends of the file."""
    with duckdb.connect(str(path), read_only=True) as raw:
        table = raw.execute(
            "select table_name from duckdb_tables() where table_name like 'span%' order by estimated_size desc limit 1"
        ).fetchall()[0][0]
        blocks = raw.execute(
            f"select block_id from pragma_storage_info('{table}') where block_id >= 0 and row_group_id > 0 "
            "group by all having count(distinct row_group_id) = 1 order by all"
        ).fetchall()
    return int(blocks[len(blocks) // 2][0])


def test_around_a_damaged_block_every_other_row_is_saved_and_the_loss_is_told(large: Path, tmp_path: Path) -> None:
    shutil.copytree(large, tmp_path / "data")
    path = path_of(tmp_path / "data")
    block = block_of_spans(path)
    with path.open("r+b") as opened_file:
        opened_file.seek(3 * HEADER_BYTES + block * BLOCK + 5_000)
        opened_file.write(b"\xa5" * 512)
    report = verify(path)
    assert not report.intact
    (damaged,) = [table for table in report.tables if table.problem]
    assert "Corrupt database file" in (damaged.problem or "")
    assert damaged.damaged_columns
    found = salvage(path, tmp_path / "saved", at=AT + timedelta(days=1), actor="ops")
    assert found.chain_problem is None
    with opened(tmp_path / "saved") as store:
        connection = store.database.cursor()
        (before,) = _spans(large)
        after = int(connection.execute("select count(*) from spans").fetchall()[0][0])
        (told,) = [table for table in found.tables if table.lost]
        assert told.whole
        assert after + told.lost == before
        assert 0 < told.lost < before / 2
        assert told.losses[0].first_at or told.losses[0].last_at or told.problem
        assert store.database.epoch
    with duckdb.connect() as raw:
        for name, folder in (("large", large), ("saved", tmp_path / "saved")):
            raw.execute(f"attach '{path_of(folder)}' as {name} (read_only)")
        assert raw.execute("from saved.span_rows except from large.span_rows").fetchall() == []
    assert verify(path_of(tmp_path / "saved")).intact
    with running(tmp_path / "saved") as collector:
        assert collector.scalar("select count(*) from spans") == after
        assert collector.api.get("audit", stream="decisions")[0]["kind"] == "salvaged"
        body = request(3).SerializeToString()
        httpx2.post(f"{collector.http}/v1/traces", content=body, headers=PROTOBUF).raise_for_status()


def _spans(folder: Path) -> tuple[int]:
    with duckdb.connect(str(path_of(folder)), read_only=True) as raw:
        return (int(raw.execute("select count(*) from spans").fetchall()[0][0]),)


def test_damaged_headers_that_can_be_known_are_put_right(crashed: Crashed, tmp_path: Path) -> None:
    path = path_of(crashed.folder)
    iterations = [header.iteration for header in (read_header(path, 0), read_header(path, 1)) if header is not None]
    older = 1 + iterations.index(min(iterations))
    for number, position in enumerate((100, older * HEADER_BYTES + 20)):
        folder = tmp_path / str(number)
        shutil.copytree(crashed.folder, folder / "data")
        with path_of(folder / "data").open("r+b") as opened_file:
            opened_file.seek(position)
            opened_file.write(b"\xa5\xa5")
        with pytest.raises(StoreError, match="header"):
            Database(folder / "data")
        found = salvage(path_of(folder / "data"), folder / "saved", at=AT, actor="ops")
        assert found.complete
        assert found.notes
        with opened(folder / "saved") as store:
            saved = fingerprints(store.database.cursor())
        changed = {"meta", "decisions", "directive_sets"}
        assert {k: v for k, v in saved.items() if k not in changed} == {
            k: v for k, v in crashed.last.items() if k not in changed
        }


def test_where_nothing_can_be_saved_it_is_said_so_and_nothing_is_left_behind(crashed: Crashed, tmp_path: Path) -> None:
    shutil.copytree(crashed.folder, tmp_path / "data")
    path = path_of(tmp_path / "data")
    os.truncate(path, 3 * HEADER_BYTES + 100)
    for arguments in (["--to", str(tmp_path / "saved")],):
        answer = plugwarden_process("store", "salvage", "--data", str(tmp_path / "data"), *arguments)
        assert answer.returncode == 1
        assert "nothing can be read" in answer.stderr
        assert "plugwarden restore" in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
    assert not (tmp_path / "saved").exists()
    report = verify(path)
    assert any("cut short" in text for text in report.problems)
    assert report.tables == ()


def test_salvage_writes_into_nothing_that_is_there(crashed: Crashed, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(StoreError, match="not empty"):
        salvage(path_of(crashed.folder), tmp_path, at=AT, actor="ops")
    with pytest.raises(StoreError, match="no store"):
        salvage(path_of(tmp_path / "nothing"), tmp_path / "new", at=AT, actor="ops")


def test_salvage_onto_a_full_disk_does_not_call_it_damage(large: Path, tmp_path: Path) -> None:
    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, resource.RLIM_INFINITY))

    command = [sys.executable, "-W", "ignore", "-m", "plugwarden_collector", "store", "salvage", "--data", str(large)]
    done = subprocess.run([*command, "--to", str(tmp_path / "saved")], capture_output=True, text=True, timeout=120,
                          check=False, preexec_fn=small_disk)  # fmt: skip
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "the disk is full" in done.stderr
