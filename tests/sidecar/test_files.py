"""What a sidecar keeps on disk is its host's alone, whatever the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugwarden.contract import Action, Directive, DirectiveSet, Scope
from plugwarden.files import open_private, read_private, settle_in
from plugwarden.gate.subscription import DirectiveFile
from plugwarden.pipeline.spool import Spool


@pytest.fixture(params=[0, 0o022], ids=["umask 0", "umask 022"])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_spool_and_directives_are_private(mask: int, tmp_path: Path) -> None:
    state = tmp_path / "state/of/host"
    spool = Spool(state / "spool", 100_000)
    assert spool.put("logs", 1, b"x" * 1000)[0]
    assert DirectiveFile(state).save(DirectiveSet("e", 1, ()))
    found = {path.relative_to(tmp_path): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    spool.close()
    assert len(found) >= 7, "the write-ahead log and its index too"
    assert {path: mode for path, mode in found.items() if mode & 0o077} == {}


def test_a_spool_that_an_earlier_version_left_open_is_closed(mask: int, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(0o755)
    spool = Spool(tmp_path / "spool", 100_000)
    assert spool.put("logs", 1, b"x")[0]
    spool.close()
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


def test_a_link_that_somebody_laid_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "theirs"
    target.write_text("kept")
    (tmp_path / f"directives.{os.getpid()}.tmp").symlink_to(target)
    assert DirectiveFile(tmp_path).save(DirectiveSet("e", 1, ()))
    assert target.read_text() == "kept"
    assert not (tmp_path / "directives.json").is_symlink()


def test_a_folder_that_cannot_be_made_raises_nothing_into_the_host(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not DirectiveFile(tmp_path / "file/state").save(DirectiveSet("e", 1, ()))
    assert not Spool(tmp_path / "file/spool", 1000).put("logs", 1, b"x")[0]


SET = DirectiveSet("e", 1, ())


def test_an_open_state_folder_is_closed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    assert DirectiveFile(state).save(SET)
    assert state.stat().st_mode & 0o777 == 0o700
    assert DirectiveFile(state).load() == SET


def test_a_folder_that_others_may_write_into_and_use_is_not(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("x")
    tmp_path.chmod(0o777)
    assert not DirectiveFile(tmp_path).save(SET)
    assert tmp_path.stat().st_mode & 0o777 == 0o777, "it is the host's to close"
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.txt"]


def test_a_folder_of_the_hosts_own_stays_as_readable_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "host.conf").write_text("x")
    tmp_path.chmod(0o755)
    assert DirectiveFile(tmp_path).save(SET)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "directives.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 12345, 12345)
    assert not DirectiveFile(state).save(SET)
    assert not Spool(state, 1_000).put("logs", 1, b"x")[0]
    assert list(state.iterdir()) == []


def test_a_folder_that_is_a_link_is_not_used(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "state").symlink_to(elsewhere)
    assert not DirectiveFile(tmp_path / "state").save(SET)
    assert not Spool(tmp_path / "state", 1_000).put("logs", 1, b"x")[0]
    with pytest.raises(NotADirectoryError):
        settle_in(tmp_path / "state")
    assert list(elsewhere.iterdir()) == []


def test_no_link_is_read_through(tmp_path: Path) -> None:
    assert DirectiveFile(tmp_path / "a").save(SET)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/directives.json").symlink_to(tmp_path / "a/directives.json")
    assert DirectiveFile(tmp_path / "b").load() is None
    (tmp_path / "c").mkdir()
    os.link(tmp_path / "a/directives.json", tmp_path / "c/directives.json")
    assert DirectiveFile(tmp_path / "c").load() is None


def test_a_pipe_or_a_file_without_end_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "directives.json")
    assert DirectiveFile(tmp_path).load() is None
    (tmp_path / "large").write_bytes(b"x" * 101)
    (tmp_path / "large").chmod(0o600)
    with pytest.raises(OSError, match="more than 100"):
        read_private(tmp_path / "large", 100)


def test_a_spool_is_not_opened_through_a_link_and_others_are_adopted(tmp_path: Path) -> None:
    target = tmp_path / "theirs"
    target.write_bytes(b"kept")
    folder = tmp_path / "spool"
    left = Spool(folder, 1_000)
    assert left.put("spans", 1, b"old")[0]
    left.close()
    (folder / "spool-1-1.sqlite").symlink_to(target)
    heir = Spool(folder, 1_000)
    item = heir.oldest()
    assert item is not None
    assert item.data == b"old"
    heir.close()
    assert target.read_bytes() == b"kept"
    with pytest.raises(OSError):
        open_private(folder / "spool-1-1.sqlite", os.O_RDWR)


def test_nothing_a_directive_says_becomes_a_path(tmp_path: Path) -> None:
    state = tmp_path / "state"
    scope = Scope("../../x", "/etc/passwd", "..", "a/b")
    assert DirectiveFile(state).save(DirectiveSet("../../e", 1, (Directive("../q", Action.ISOLATE, scope),)))
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == [
        Path("state"),
        Path("state/directives.json"),
    ]
