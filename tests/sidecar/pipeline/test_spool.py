"""What waits on disk: bounded, in order, and there again after a restart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden import Sidecar
from plugwarden.pipeline.redaction import redact, redact_attribute
from plugwarden.pipeline.spool import Spool

from tests.sidecar.support.otlp_receiver import Receiver


def drain(spool: Spool) -> list[tuple[str, bytes]]:
    found = []
    while (item := spool.oldest()) is not None:
        found.append((item.signal, item.data))
        spool.remove(item)
    return found


def test_what_is_put_first_comes_out_first(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1_000_000)
    for number in range(5):
        assert spool.put("spans", 1, b"%d" % number) == (True, {})
    assert [data for _, data in drain(spool)] == [b"0", b"1", b"2", b"3", b"4"]
    assert list(tmp_path.iterdir()) == []


def test_when_it_is_full_old_spans_make_room_and_metrics_stay(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    spool.put("metrics", 1, b"m" * 40)
    spool.put("spans", 7, b"s" * 40)
    assert spool.put("logs", 1, b"l" * 40) == (True, {"spans": 7})
    assert spool.put("metrics", 1, b"n" * 60) == (True, {"logs": 1})
    assert spool.put("spans", 3, b"t" * 40) == (False, {})
    assert [data[:1] for _, data in drain(spool)] == [b"m", b"n"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["spans", "logs", "metrics"]), st.integers(1, 60)), max_size=40))
def test_it_never_holds_more_than_its_limit_and_tells_what_it_lost(puts: list[tuple[str, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), 100)
        lost = 0
        for signal, size in puts:
            stored, made_room = spool.put(signal, 1, b"x" * size)
            lost += sum(made_room.values()) + (not stored)
        kept = drain(spool)
        assert sum(len(data) for _, data in kept) <= 100
        assert len(kept) + lost == len(puts)
        spool.close()


def test_a_file_left_behind_is_taken_over_and_a_live_ones_is_not(tmp_path: Path) -> None:
    left = Spool(tmp_path, 1_000)
    left.put("spans", 1, b"old")
    other = Spool(tmp_path, 1_000)
    assert other.oldest() is None  # its owner lives
    left.close()
    heir = Spool(tmp_path, 1_000)
    heir.put("spans", 1, b"new")
    assert sorted(data for _, data in drain(heir)) == [b"new", b"old"]


def test_a_corrupt_file_and_a_folder_that_cannot_be_written_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "spool-1-2.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    spool = Spool(tmp_path, 1_000)
    assert spool.oldest() is None
    assert spool.put("spans", 1, b"x") == (True, {})
    nowhere = Spool(Path("/proc/nowhere"), 1_000)
    assert nowhere.put("spans", 1, b"x") == (False, {})
    assert nowhere.oldest() is None


def test_what_could_not_be_sent_before_the_end_is_sent_by_the_next_process(tmp_path: Path, outbox: Any) -> None:
    outbox.works = False
    first = Sidecar(service="t", state_dir=tmp_path, trace_ratio=1.0)
    first.wrap(lambda: 1, plugin="csv", version="1", operation="x")()
    assert first.close(timeout=0.5) is False
    outbox.works = True
    assert outbox.calls() == 0
    second = Sidecar(service="t", state_dir=tmp_path, trace_ratio=1.0)
    second.wrap(lambda: 1, plugin="csv", version="1", operation="y")()
    second.close(timeout=5)
    assert outbox.calls(plugin_operation="x") == 1
    assert outbox.calls(plugin_operation="y") == 1


@pytest.fixture
def receiver() -> Any:
    made = Receiver()
    yield made
    made.close()


def test_a_script_that_ends_at_once_has_sent_everything(receiver: Receiver) -> None:
    code = f"""
from plugwarden import Sidecar
call = Sidecar(service='s', endpoint={receiver.url!r}).wrap(lambda: 1, plugin='a', version='1', operation='x')
for _ in range(7): call()
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert sum(receiver.counts) == 7


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes_count_every_call(receiver: Receiver, method: str) -> None:
    # A process of its own: a pool that is spawned loads the main module again, and here that is pytest's.
    command = [sys.executable, "-W", "ignore", "-m", "tests.sidecar.support.pool_host", receiver.url, method]
    subprocess.run(command, cwd=Path(__file__).parents[3], check=True, timeout=60)
    assert sum(receiver.counts) == 20


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
        ("could not reach postgres://app:hunter2@db/x", "hunter2"),
        ("password='s3cr3t value', user=ann", "s3cr3t"),
        ("api_key=AKIAABCDEFGHIJKLMNOP rest", "AKIAABCDEFGHIJKLMNOP"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig", "eyJzdWIiOiIxMjM0In0"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123", "ghp_abc"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)
def test_secrets_do_not_leave(text: str, gone: str) -> None:
    assert gone not in redact(text)
    assert "[redacted]" in redact(text)


def test_what_is_no_secret_stays(tmp_path: Path) -> None:
    for text in ("cannot tokenize row 3", "3 rows", "the key is missing", "https://example.org/path?x=1"):
        assert redact(text) == text
    assert redact_attribute("user.password", "x", redact) == "[redacted]"
    assert redact_attribute("rows", 3, redact) == 3


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=2_000))
def test_redaction_takes_any_text(text: str) -> None:
    assert isinstance(redact(text), str)


def test_redaction_of_long_hostile_text_ends(sidecar: Sidecar) -> None:
    for text in ("password" * 20_000, "a." * 50_000 + "token=" * 10_000, "eyJ" + "A" * 100_000, "x://" * 30_000 + "@"):
        redact(text[:8_000])  # what is sent is cut to at most this before


def test_a_disk_that_does_not_delete_is_not_sent_for_ever(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    for number in range(3):
        spool.put("spans", 1, b"%d" % number)
    (connection, _) = next(iter(spool._files.values()))
    connection.execute("pragma query_only = on")
    found = []
    for _ in range(10):
        item = spool.oldest()
        if item is None:
            break
        found.append(item.data)
        spool.remove(item)
    assert found == [b"0", b"1", b"2"]


def test_what_is_larger_than_the_spool_evicts_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    spool.put("metrics", 1, b"m" * 50)
    assert spool.put("spans", 1, b"s" * 101) == (False, {})
    assert spool.oldest() is not None
