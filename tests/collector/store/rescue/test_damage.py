"""Damage of every kind is reported or harmless: never a wrong answer without a word, never a crash, never an empty start."""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugwarden_collector.command.processes import collector_command
from plugwarden_collector.errors import StoreError
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.file.format import (
    HEADER_BYTES,
    LogState,
    bytes_in_use,
    checksum,
    read_header,
    read_log,
)
from plugwarden_collector.store.duckdb.file.inspect import logs_of, problems
from plugwarden_collector.store.duckdb.rescue.helper_process import Apart
from plugwarden_collector.store.duckdb.rescue.verify import tables_in

from tests.collector.conftest import running
from tests.collector.support.command_line import plugwarden_process
from tests.collector.support.span_request import PROTOBUF, request
from tests.collector.support.stores import Crashed, fill, fingerprints, opened, path_of
from tests.share import repetitions

# Files are what is tested, and to DuckDB a copy is not another file.
pytestmark = pytest.mark.usefixtures("migrated_anew")

BLOCK = 262_144
CHECKPOINT_KILLS = repetitions(16)
FREE = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a collector and its readers made of a store."""

    refused: str | None
    tables: dict[str, tuple[int, int]]
    errors: dict[str, str]
    warnings: tuple[str, ...]


def use(folder: str, last: tuple[str, ...]) -> Outcome:
    """Open a store as a collector does and read all of it; in a helper process, because it may not survive that."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear()
    logging.getLogger("plugwarden_collector").addHandler(ear)
    try:
        database = Database(Path(folder))
    except StoreError as error:
        return Outcome(str(error), {}, {}, tuple(heard))
    finally:
        logging.getLogger("plugwarden_collector").removeHandler(ear)
    connection, tables, errors = database.cursor(), {}, {}
    try:
        names = connection.execute("select table_name from duckdb_tables() where not internal").fetchall()
    except duckdb.Error as error:
        names, errors = [], dict.fromkeys(last, str(error))
    for (name,) in names:
        try:
            rows = connection.execute(f"select count(*), bit_xor(hash(t)) from {name} t").fetchall()[0]
            tables[name] = (int(rows[0]), int(rows[1] or 0))
        except duckdb.Error as error:
            errors[name] = str(error)
    connection.close()
    database.close()
    return Outcome(None, tables, errors, tuple(heard))


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with Apart(60) as helper:
        yield helper


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that goes wrong with one of the two files."""

    log: bool
    kind: str
    at_ratio: float
    bit: int

    def apply(self, folder: Path) -> None:
        file = logs_of(path_of(folder))[0] if self.log else path_of(folder)
        size = file.stat().st_size
        position = min(int(size * self.at_ratio), size - 1)
        if self.kind == "cut":
            os.truncate(file, position)
            return
        with file.open("r+b") as opened_file:
            length = {"flip": 1, "zeros": 4096, "noise": 512}[self.kind]
            position -= position % 4096 if self.kind == "zeros" else 0
            opened_file.seek(position)
            old = opened_file.read(length)
            new = {
                "flip": bytes([old[0] ^ 1 << self.bit]),
                "zeros": bytes(len(old)),
                "noise": bytes(b ^ 0xA5 for b in old),
            }
            opened_file.seek(position)
            opened_file.write(new[self.kind])


DAMAGES = st.builds(
    Damage,
    st.booleans(),
    st.sampled_from(["flip", "flip", "zeros", "noise", "cut"]),
    st.one_of(st.floats(0, 1, exclude_max=True), st.floats(0, 0.02)),
    st.integers(0, 7),
)


@given(DAMAGES)
@settings(max_examples=repetitions(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_damaged_is_reported_or_harmless(
    crashed: Crashed, apart: Apart, tmp_path_factory: pytest.TempPathFactory, damage: Damage
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "data"
    shutil.copytree(crashed.folder, folder)
    damage.apply(folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    if damage.log and damage.kind == "cut" and read_log(logs_of(path_of(folder))[0]).state is LogState.WHOLE:
        return  # cut exactly behind a commit: nothing in the files tells that there were more
    outcome = apart(use, str(folder), tuple(crashed.last))
    if outcome.refused is not None:
        assert "plugwarden store verify" in outcome.refused
        assert "Traceback" not in outcome.refused
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before, "a refused store was changed"
    elif not outcome.warnings:
        assert outcome.tables.keys() | outcome.errors.keys() == crashed.last.keys()
        for name, state in outcome.tables.items():
            assert state == crashed.last[name], f"{name} is wrong and nobody was told"
        assert all("Corrupt" in text or "read enough" in text for text in outcome.errors.values())
    else:
        assert damage.log, "only a log may be cut short"
        assert not outcome.errors
        for name, (rows, _) in outcome.tables.items():
            assert rows <= max(count for count, _ in crashed.states[name])
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("empty", b"", "is empty"),
        ("short", b"DUCK" * 100, "cut short"),
        ("text", b"a,b,c\n1,2,3\n" * 5000, "not a DuckDB file"),
        ("zeros", bytes(100_000), "not a DuckDB file"),
    ],
)
def test_a_file_that_is_no_store_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, word: str) -> None:
    path_of(tmp_path).write_bytes(content)
    answer = plugwarden_process("collector", "--data", str(tmp_path), *FREE)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert len(answer.stderr.splitlines()) == 1
    assert word in answer.stderr
    assert "plugwarden store verify" in answer.stderr
    assert path_of(tmp_path).read_bytes() == content


def test_a_log_without_its_file_is_not_begun_anew(crashed: Crashed, tmp_path: Path) -> None:
    shutil.copytree(crashed.folder, tmp_path / "data")
    path_of(tmp_path / "data").unlink()
    with pytest.raises(StoreError, match="is missing, but its write-ahead log"):
        Database(tmp_path / "data")
    assert not path_of(tmp_path / "data").exists()


def test_a_log_of_another_store_is_refused(crashed: Crashed, tmp_path: Path) -> None:
    Database(tmp_path / "data").close()
    shutil.copyfile(logs_of(path_of(crashed.folder))[0], f"{path_of(tmp_path / 'data')}.wal")
    with pytest.raises(StoreError, match="belongs to another database"):
        Database(tmp_path / "data")
    assert logs_of(path_of(tmp_path / "data")), "the log was thrown away"


def test_a_file_cut_anywhere_is_refused_before_it_is_read(crashed: Crashed, tmp_path: Path) -> None:
    with opened(tmp_path / "data") as store:
        fill(store, tmp_path / "rules.toml", seconds=4)
    path = path_of(tmp_path / "data")
    headers = [header for header in (read_header(path, 0), read_header(path, 1)) if header is not None]
    newest = max(headers, key=lambda header: header.iteration)
    assert bytes_in_use(path, newest) == path.stat().st_size
    assert problems(path) == []
    os.truncate(path, path.stat().st_size - 1)
    assert any("cut short" in text for text in problems(path))


@pytest.mark.parametrize("block_bytes", [16_384, 262_144])
def test_the_bytes_in_use_are_known_also_where_the_list_of_free_blocks_is_long(
    tmp_path: Path, block_bytes: int
) -> None:
    path = tmp_path / "any.duckdb"
    with duckdb.connect(str(path), config={"default_block_size": str(block_bytes)}) as raw:
        raw.execute("create table a as select i, md5(i::varchar) s from range(300000) t(i)")
        raw.execute("create table b as select i, md5(i::varchar) s from range(4000) t(i)")
        for sql in ("checkpoint", "drop table a", "checkpoint", "insert into b from b", "checkpoint"):
            raw.execute(sql)
    headers = [header for header in (read_header(path, 0), read_header(path, 1)) if header is not None]
    assert bytes_in_use(path, max(headers, key=lambda header: header.iteration)) == path.stat().st_size


def test_an_unfinished_commit_is_cut_off_and_said_so(
    crashed: Crashed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(crashed.folder, tmp_path / "data")
    log = logs_of(path_of(tmp_path / "data"))[0]
    whole = read_log(log)
    assert (whole.state, whole.good_bytes) == (LogState.WHOLE, log.stat().st_size)
    with log.open("ab") as end:
        end.write(bytes(4096))  # as a power cut leaves it: longer, and nothing in it
    assert read_log(log).state is LogState.UNFINISHED
    with opened(tmp_path / "data") as store:
        assert fingerprints(store.database.cursor()) == crashed.last
    assert "last 4096 of" in caplog.text


def test_a_reader_that_ends_its_process_or_never_ends_is_an_error() -> None:
    with Apart(5.0) as helper:  # its process starts within that time
        with pytest.raises(StoreError, match="SIGABRT"):
            helper(os.abort)
        with pytest.raises(StoreError, match="did not end within 5 s"):
            helper(_hang)
        with pytest.raises(StoreError, match="no such"):
            helper(tables_in, "/no such file")
        assert helper(abs, -3) == 3


def _hang() -> None:
    while True:
        pass


def test_the_checksum_is_duckdbs_own(crashed: Crashed) -> None:
    raw = path_of(crashed.folder).read_bytes()
    sealed = 0
    for start in range(3 * HEADER_BYTES, len(raw), BLOCK):
        block = raw[start : start + BLOCK]
        sealed += checksum(block[8:]) == int.from_bytes(block[:8], "little")
    assert sealed >= (len(raw) - 3 * HEADER_BYTES) // BLOCK // 2
    assert read_log(logs_of(path_of(crashed.folder))[0]).commits >= 40


def on_small_disk(data: Path, file_bytes: int, stderr: int) -> subprocess.Popen[str]:
    """A collector whose files cannot grow beyond that."""
    return subprocess.Popen(
        collector_command("--data", str(data), *FREE),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY)),
    )


def test_a_disk_too_full_to_start_on_is_named(tmp_path: Path) -> None:
    process = on_small_disk(tmp_path, 4096, subprocess.PIPE)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, len(said.splitlines())) == (2, 1)
    assert "the disk is full" in said


def test_a_full_disk_refuses_new_data_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    process = on_small_disk(tmp_path, 3_000_000, subprocess.DEVNULL)
    acknowledged, refused = 0, set()
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        for _ in range(40):
            body = request(500, text=os.urandom(400).hex()).SerializeToString()
            answer = httpx2.post(f"http://{ready['http']}/v1/traces", content=body, headers=PROTOBUF, timeout=60)
            acknowledged += 500 if answer.status_code == 200 else 0
            refused |= {answer.status_code} - {200}
        assert refused == {503}
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    with running(tmp_path) as collector:  # with room again
        counted: Any = collector.api.query("select count(*) as n, count(distinct span_id) as m from spans").to_pylist()
        assert counted == [{"n": acknowledged, "m": acknowledged}]


CHECKPOINTING = """
import sys
from pathlib import Path
from plugwarden_collector.store import Database, Writer
database = Database(Path(sys.argv[1]))
writer, hold = Writer(database), database.checkpoints
writer.run(lambda c: c.execute("create table if not exists probe (batch integer, text varchar)")).result()
stored = database.cursor().execute("select batch, count(*) from probe group by all order by all").fetchall()
assert stored == [(number, 2000) for number in range(len(stored))], stored
batch = len(stored)
print(batch, flush=True)
while True:
    sql = f"insert into probe select {batch}, md5(i::varchar) from range(2000) t(i)"
    writer.run(lambda c: c.execute(sql)).result()
    batch += 1
    print(batch, flush=True)
    writer.run_outside_transaction(lambda c: hold.checkpoint(c, threshold_bytes=1)).result()
"""


def test_killed_inside_checkpoints_nothing_is_lost_or_there_twice(tmp_path: Path) -> None:
    chance = random.Random(1)
    command = [sys.executable, "-W", "ignore", "-c", CHECKPOINTING, str(tmp_path)]
    acknowledged = 0
    for _ in range(CHECKPOINT_KILLS):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stderr is not None
        with process.stdout, process.stderr:
            first = process.stdout.readline()
            assert first, process.stderr.read()
            # One more than was heard of may be there: the kill came between its commit and its line.
            assert acknowledged <= int(first) <= acknowledged + 1
            time.sleep(chance.uniform(0.02, 0.4))
            process.kill()
            acknowledged = int(([first, *process.stdout.readlines()])[-1])
            process.wait()
    assert acknowledged > CHECKPOINT_KILLS
