"""Everything that is written is its owner's alone, whatever the umask, from the first moment on."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from plugwarden_collector.command.processes import collector_command
from plugwarden_collector.errors import RulesError, SettingsError, StoreError
from plugwarden_collector.private import choice, read_secret
from plugwarden_collector.rules.file import parse_rules
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.retention.archive import archive_slice
from plugwarden_collector.web.auth import read_tokens

from tests.collector.support.stores import AT, fill, metrics, opened, path_of, traces


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


class Watch:
    """Looks at all files and folders below one, over and over, and remembers those that were ever open to others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stopping = threading.Event()
        self.open: set[tuple[str, str]] = set()
        self.seen: set[str] = set()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stopping.wait(0.001):
            self._look()

    def _look(self) -> None:
        for root, folders, files in os.walk(self._folder):
            for name in (*folders, *files):
                try:
                    found = os.lstat(f"{root}/{name}").st_mode & 0o777
                except OSError:
                    continue
                self.seen.add(name)
                if found & 0o077:
                    self.open.add((name, f"{found:o}"))


def test_nothing_that_the_commands_write_is_ever_open_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = 0  # whatever is open under another one is open under this
    monkeypatch.setenv("PLUGWARDEN_AUDIT_KEY_FILE", str(tmp_path / "state/of/ours/audit.key"))
    out = tmp_path / "out"
    out.mkdir(mode=0o700)

    def run(*arguments: str, url: str = "") -> None:
        environ = {**os.environ, "PLUGWARDEN_COLLECTOR_URL": url, "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-m", "plugwarden_collector", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environ, umask=mask, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr

    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    data = tmp_path / "made/on/the/way"
    with Watch(tmp_path) as watch:
        process = subprocess.Popen(
            collector_command("--data", str(data), *free), stdout=subprocess.PIPE, text=True, umask=mask
        )
        assert process.stdout is not None
        with process.stdout:
            ready = json.loads(process.stdout.readline())
            kind = {"content-type": "application/x-protobuf"}
            for body, signal in ((metrics(1), "metrics"), (traces(1, 2000), "traces")):
                assert httpx2.post(f"http://{ready['http']}/v1/{signal}", content=body, headers=kind).status_code == 200
            url = f"http://{ready['api']}"
            run("backup", str(out), url=url)
            run("export", "spans", str(out / "spans.parquet"), url=url)
            run("query", "from spans", "--parquet", str(out / "query.parquet"), url=url)
            run("audit", "export", str(out / "log.jsonl"), url=url)
            process.kill()  # so that there is a write-ahead log to look after
            process.wait()
        (backup,) = out.glob("*.duckdb")
        run("store", "verify", "--data", str(data))
        run("store", "salvage", "--data", str(data), "--to", str(tmp_path / "saved"))
        run("restore", str(backup), "--data", str(tmp_path / "restored"))
        run("restore", str(backup), "--data", str(data), "--force")
    assert watch.open == set()
    names = {
        "plugwarden.duckdb",
        "plugwarden.duckdb.wal",
        "audit.key",
        "spans.parquet",
        "query.parquet",
        "log.jsonl",
        "saved",
    }
    assert names <= watch.seen
    assert any(name.startswith("replaced-") for name in watch.seen)


def test_a_store_that_a_program_opens_lies_in_a_closed_folder(tmp_path: Path) -> None:
    with umask(0), opened(tmp_path / "a/data") as store:
        fill(store, tmp_path / "rules.toml", seconds=2)
        assert [mode(tmp_path / "a"), mode(tmp_path / "a/data"), mode(store.database.path)] == [0o700, 0o700, 0o600]
        (tmp_path / "archive/spans").mkdir(parents=True)  # as an earlier version made them
        assert archive_slice(store.database, tmp_path / "archive", "spans", AT.replace(year=2030), 10**9) == 10
    assert mode(tmp_path / "archive/spans") == 0o700
    (file,) = (tmp_path / "archive").rglob("*.parquet")
    assert [mode(file), mode(file.parent)] == [0o600, 0o700]


def test_a_folder_that_an_earlier_version_left_open_is_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Database(tmp_path / "data").close()
    path_of(tmp_path / "data").chmod(0o644)
    (tmp_path / "data").chmod(0o755)
    Database(tmp_path / "data").close()
    assert [mode(tmp_path / "data"), mode(path_of(tmp_path / "data"))] == [0o700, 0o600]
    assert "was open to other users (mode 755)" in caplog.text


def test_a_new_store_in_a_folder_that_others_use_is_refused_with_what_to_do(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "theirs").touch()
    with pytest.raises(StoreError, match=r"holds other things.*chmod 700.*PLUGWARDEN_FILES=unchanged"):
        Database(shared)
    assert [path.name for path in shared.iterdir()] == ["theirs"]
    assert mode(shared) == 0o755
    Database(shared / "own").close()
    assert mode(shared / "own") == 0o700


@pytest.mark.parametrize(("chosen", "folder", "file"), [("group", 0o750, 0o640), ("private", 0o700, 0o600)])
def test_the_group_may_read_where_that_is_asked_for(
    chosen: str, folder: int, file: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGWARDEN_FILES", chosen)
    with umask(0o077):
        Database(tmp_path / "data").close()
    assert [mode(tmp_path / "data"), mode(path_of(tmp_path / "data"))] == [folder, file]
    (tmp_path / "data").chmod(0o777)
    Database(tmp_path / "data").close()
    assert mode(tmp_path / "data") == folder


def test_folders_stay_as_they_are_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGWARDEN_FILES", "unchanged")
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    Database(tmp_path / "data").close()
    assert mode(tmp_path / "data") == 0o755
    assert mode(path_of(tmp_path / "data")) == 0o600


def test_a_choice_that_there_is_not_is_said_so() -> None:
    with pytest.raises(SettingsError, match="private, group, unchanged"):
        choice({"PLUGWARDEN_FILES": "public"})


@pytest.mark.timeout(20)
def test_a_secret_is_read_from_a_file_and_nothing_else_is_waited_for(tmp_path: Path) -> None:
    """Before, a pipe that nobody writes to held up a start, a check of the rules and their reload for ever."""
    file, pipe, link = tmp_path / "file", tmp_path / "pipe", tmp_path / "link"
    file.write_text("s3cret\n")
    link.symlink_to(file)  # as Kubernetes mounts them
    os.mkfifo(pipe)
    assert read_secret(file, 7) == read_secret(link, 7) == "s3cret\n"
    with pytest.raises(ValueError, match="more than 6 bytes"):
        read_secret(file, 6)
    for other in (pipe, tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="is no file"):
            read_secret(other, 7)
    rules = '[[slo]]\nname = "a"\nobjective = 0.99\n[[receiver]]\nname = "r"\nurl_file = "{}"\n'
    with pytest.raises(RulesError, match=r"url_file: .*pipe' is no file"):
        parse_rules(rules.format(pipe), "rules.toml")
    with pytest.raises(SettingsError, match=r"_FILE: .*pipe: cannot be read: is no file"):
        read_tokens({"PLUGWARDEN_TOKEN_FILE": str(pipe)})
