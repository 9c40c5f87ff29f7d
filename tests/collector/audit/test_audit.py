"""The decision log as evidence: against somebody who can write the store's files, a kill, and a key that is gone."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest
from plugwarden_collector.audit import Place, entries
from plugwarden_collector.audit.entries import GENESIS, Draft, Keyring, SealKey, seal
from plugwarden_collector.store.duckdb.ledger.audit_log import AuditLog
from plugwarden_collector.store.duckdb.rescue.restore import restore
from plugwarden_collector.store.ledger import AuditReport

from tests.collector.conftest import Running, running
from tests.collector.support.sealed_log import condition, verified, write
from tests.collector.support.stores import AT, opened, path_of
from tests.collector.support.waiting import eventually

OTHER = Keyring((SealKey(b"o" * 32),))
Forgery = Callable[[duckdb.DuckDBPyConnection], object]


def rows_of(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    cursor = connection.execute("from decisions order by sequence")
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def recomputed(keyring: Keyring) -> Forgery:
    """Change entry 2, and compute the chain anew with what a forger has: no key, or one of their own."""

    def forge(connection: duckdb.DuckDBPyConnection) -> None:
        previous = GENESIS
        for row in rows_of(connection):
            reason = "forged" if row["sequence"] == 2 else row["reason"]
            draft = Draft(
                row["time"], row["kind"], row["actor"], row["scope"], reason, row["enforcement"], row["quarantine_id"],
                json.loads(row["evidence"]), None if not keyring.keys else row["says"],
            )  # fmt: skip
            entry = seal(draft, row["sequence"], previous, keyring.current)
            connection.execute(
                "update decisions set reason = ?, says = ?, evidence = ?, key_id = ?, previous_hash = ?, hash = ? "
                "where sequence = ?",
                [reason, draft.says, entry.evidence_json, entry.key_id, previous, entry.hash, row["sequence"]],
            )
            previous = entry.hash

    return forge


def another_identity(connection: duckdb.DuckDBPyConnection) -> None:
    """Everything deleted, and the store made out to be one that nobody has seen."""
    connection.execute("delete from decisions")
    connection.execute("update audit_chain set id = 'abc'")


FORGERIES: dict[str, tuple[Forgery, str]] = {
    "an entry is edited": (
        lambda c: c.execute("update decisions set reason = 'x' where sequence = 2"),
        "entry 2 was changed",
    ),
    "who it says acted is edited": (
        lambda c: c.execute("update decisions set says = 'x' where sequence = 2"),
        "entry 2 was",
    ),
    "an entry is taken out": (lambda c: c.execute("delete from decisions where sequence = 2"), "entry 2 is missing"),
    "the tail is cut": (lambda c: c.execute("delete from decisions where sequence > 3"), "entries 4 to 6 are missing"),
    "the last entry is cut": (lambda c: c.execute("delete from decisions where sequence > 5"), "entry 6 is missing"),
    "all are deleted": (lambda c: c.execute("delete from decisions"), "entries 1 to 6 are missing"),
    "all are deleted, and it is another store": (another_identity, "another decision log was in"),
    "the chain is recomputed without a key": (recomputed(Keyring()), "written anew"),
    "the chain is recomputed with a key of theirs": (recomputed(OTHER), "written anew"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_was_done_to_the_store_while_nobody_looked_is_found(forgery: str, place: Place, tmp_path: Path) -> None:
    write(tmp_path / "data", 6)
    assert verified(tmp_path / "data").problems == ()
    work, said = FORGERIES[forgery]
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    work(connection)
    connection.close()
    for _ in range(2):  # also after a start that has met it: new entries do not heal it
        assert said in "; ".join(verified(tmp_path / "data").problems)
        write(tmp_path / "data", 1)


@pytest.mark.parametrize("forgery", sorted(set(FORGERIES) - {"all are deleted, and it is another store"}))
def test_it_is_found_in_a_copy_of_the_store_too(forgery: str, place: Place, tmp_path: Path) -> None:
    write(tmp_path / "data", 6)
    (tmp_path / "copy").mkdir()
    shutil.copy(path_of(tmp_path / "data"), path_of(tmp_path / "copy"))
    work, said = FORGERIES[forgery]
    connection = duckdb.connect(str(path_of(tmp_path / "copy")))
    work(connection)
    connection.close()
    assert said in "; ".join(verified(tmp_path / "copy").problems)
    assert verified(tmp_path / "data").valid, "the copy says nothing of the store itself"


def test_copies_that_were_only_started_do_not_make_later_ones_suspect(place: Place, tmp_path: Path) -> None:
    with running(tmp_path / "data") as collector:
        collector.api.post("quarantine", {"force": True, "plugin": "a", "reason": "why"})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(path_of(tmp_path / "data"), path_of(tmp_path / name))
        with running(tmp_path / name) as copied:
            assert copied.api.get("audit/verify")["problem"] is None
    with running(tmp_path / "data") as collector:
        assert collector.api.get("audit/verify")["problem"] is None


def test_a_head_that_somebody_kept_tells_what_even_the_kept_heads_cannot(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "data", 6)
    with opened(tmp_path / "data") as store:
        head = store.ledger.audit.told()["decisions"]["hash"]
    assert verified(tmp_path / "data", head).valid
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    connection.execute("delete from decisions where sequence > 3")
    connection.close()
    shutil.rmtree(place.heads)  # somebody who may write there too
    assert verified(tmp_path / "data").valid
    assert "the anchor" in verified(tmp_path / "data", head).problems[0]


def test_entries_from_before_there_was_a_key_stay_verifiable_and_are_told_apart(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "data", 4, keyed=False, says=None)
    write(tmp_path / "data", 2)
    found = verified(tmp_path / "data")
    verdict = found.verdicts[entries.DECISIONS]
    assert (found.valid, verdict.count, verdict.unkeyed_until, verdict.keyed) == (True, 6, 4, 2)
    assert any("unkeyed up to entry 4" in text for text in found.notes)
    recompute = recomputed(Keyring())
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    recompute(connection)
    connection.close()
    assert not verified(tmp_path / "data").valid


def test_what_is_explained_is_recorded_and_passed_over(place: Place, tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        for number in range(4):
            first.api.post("quarantine", {"force": True, "plugin": f"p{number}", "reason": "by hand"})
        assert first.api.get("audit/verify")["valid"]
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    connection.execute("delete from decisions where sequence > 2")
    connection.close()
    with running(tmp_path / "data") as second:
        found = second.api.get("audit/verify")
        assert (found["valid"], found["decisions"]) == (False, 2)
        assert "entries 3 to 4 are missing" in found["problem"]
        assert condition(second) == "firing"
        second.api.post("audit/accept", {"reason": "put back from a disk image", "actor": "ann"})
        assert second.api.get("audit/verify", max_age_seconds=3600)["valid"], "an older answer does not outlive it"
        assert condition(second) == "inactive"
        assert second.api.post("audit/accept", {"reason": "nothing is left"}) == {"accepted": []}
    with running(tmp_path / "data") as third:
        found = third.api.get("audit/verify")
        assert found["valid"]
        assert any("entries 3 to 4 are missing" in text and "ann" in text for text in found["notes"])
        assert third.api.get("audit", stream="decisions")[0]["kind"] == "break_accepted"


def test_a_restore_says_what_it_leaves_behind_and_is_no_break(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "data", 3)
    shutil.copy(path_of(tmp_path / "data"), tmp_path / "backup.duckdb")
    write(tmp_path / "data", 3)
    restore(tmp_path / "backup.duckdb", tmp_path / "data", at=AT + timedelta(hours=1), actor="ops", force=True)
    with running(tmp_path / "data") as collector:
        found = collector.api.get("audit/verify")
        assert (found["valid"], found["decisions"]) == (True, 4)
        assert (
            "entries 4 to 6 are missing"
            in collector.api.get("audit", stream="decisions")[0]["evidence"]["left_behind"][0]
        )


def test_a_restore_on_a_machine_without_the_key_says_what_it_cannot_verify(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data", 3)
    shutil.copy(path_of(tmp_path / "data"), tmp_path / "backup.duckdb")
    keys = place.key.read_text()
    monkeypatch.setenv("PLUGWARDEN_AUDIT_KEY_FILE", str(tmp_path / "elsewhere/audit.key"))
    restore(tmp_path / "backup.duckdb", tmp_path / "there", at=AT, actor="ops")
    assert "entries 1 to 3 are sealed with key" in verified(tmp_path / "there").problems[0]
    with Place.of().key.open("a") as file:
        file.write(keys)
    assert verified(tmp_path / "there").valid


# -- who ---------------------------------------------------------------------------------------------------------------


# -- what --------------------------------------------------------------------------------------------------------------


# -- folding -----------------------------------------------------------------------------------------------------------


def test_who_verifies_all_the_time_keeps_nobody_else_waiting(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, verify = threading.Event(), AuditLog.verify

    def slow(self: AuditLog, *arguments: Any, **options: Any) -> AuditReport:
        going.wait(30)
        return verify(self, *arguments, **options)

    monkeypatch.setattr(AuditLog, "verify", slow)
    answers: list[int] = []
    ask = [
        threading.Thread(target=lambda: answers.append(httpx2.get(f"{collector.url}/api/v1/audit/verify").status_code))
        for _ in range(20)
    ]
    for thread in ask:
        thread.start()
    eventually(lambda: answers.count(503) == 12)
    collector.api.post("quarantine", {"force": True, "plugin": "a", "reason": "an act of a person"})
    going.set()
    for thread in ask:
        thread.join()
    assert sorted(answers) == [200] * 8 + [503] * 12
