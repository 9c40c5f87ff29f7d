"""The decision log as evidence: against somebody who can write the store's files, a kill, and a key that is gone."""

from __future__ import annotations

import hashlib
import http.server
import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import grpc
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.api.client import ApiError, CollectorClient
from plugwarden_collector.audit import Heads, Place, Records, read_keyring
from plugwarden_collector.audit import entries as audit
from plugwarden_collector.audit.actor import claimed
from plugwarden_collector.audit.entries import ACCESS, GENESIS, Draft, Keyring, SealKey, examine, seal
from plugwarden_collector.audit.looks import Folding, Seen
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.store import Database, statement
from plugwarden_collector.store.duckdb.ledger import audit_log
from plugwarden_collector.store.duckdb.ledger.audit_log import AuditLog, AuditReport
from plugwarden_collector.store.duckdb.ledger.chain import chain_of, trim
from plugwarden_collector.store.duckdb.rescue.restore import restore
from plugwarden_collector.web.auth import read_tokens

from tests.collector.api.test_api import eventually
from tests.collector.command.test_command import plugwarden
from tests.collector.conftest import RULES, Running, running
from tests.collector.support.stores import AT, opened, path_of

KEY = Keyring((SealKey(b"k" * 32),))
OTHER = Keyring((SealKey(b"o" * 32),))
Forgery = Callable[[duckdb.DuckDBPyConnection], object]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A key and heads of the test's own."""
    monkeypatch.setenv("PLUGWARDEN_AUDIT_KEY_FILE", str(tmp_path / "outside/audit.key"))
    return Place.of()


def write(folder: Path, count: int, *, keyed: bool = True, says: str | None = "ann") -> None:
    """Put entries onto the log of a store, as a collector does."""
    database = Database(folder)
    log = AuditLog(database, Place.of(), AT) if keyed else None
    for number in range(count):
        draft = Draft(AT + timedelta(seconds=number), "quarantined", "ci", f"csv@{number}", "why", says=says)
        connection = database.cursor()
        connection.execute("begin")
        if log is None:
            from plugwarden_collector.store.duckdb.ledger.state import append_decisions

            append_decisions(connection, [draft])
            connection.execute("commit")
        else:
            head = log.append(connection, [draft])
            connection.execute("commit")
            log.advance(head)
        connection.close()
    if log is not None:
        log.close()
    database.close()


def verified(folder: Path, anchor: str | None = None) -> AuditReport:
    """What a collector that starts on a store says of its log."""
    database = Database(folder)
    log = AuditLog(database, Place.of(), AT)
    found = log.verify(anchor)
    log.close()
    database.close()
    return found


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
        collector.api.post("quarantine", {"plugin": "a", "reason": "why"})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(path_of(tmp_path / "data"), path_of(tmp_path / name))
        with running(tmp_path / name) as copied:
            assert copied.api.get("audit/verify")["problem"] is None
    with running(tmp_path / "data") as collector:
        assert collector.api.get("audit/verify")["problem"] is None


def test_a_head_that_somebody_kept_tells_what_even_the_kept_heads_cannot(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "data", 6)
    database = Database(tmp_path / "data")
    log = AuditLog(database, place, AT)
    head = log.told()["decisions"]["hash"]
    log.close()
    database.close()
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
    verdict = found.verdicts[audit.DECISIONS]
    assert (found.valid, verdict.count, verdict.unkeyed_until, verdict.keyed) == (True, 6, 4, 2)
    assert any("unkeyed up to entry 4" in text for text in found.notes)
    recompute = recomputed(Keyring())
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    recompute(connection)
    connection.close()
    assert not verified(tmp_path / "data").valid


def test_a_new_key_goes_above_the_old_one(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "data", 2)
    old = place.key.read_text()
    place.key.write_text("n" * 64 + "\n" + old)
    write(tmp_path / "data", 2)
    assert verified(tmp_path / "data").valid
    place.key.write_text("n" * 64 + "\n")  # the old one is lost
    found = verified(tmp_path / "data")
    assert "entries 1 to 2 are sealed with key" in found.problems[0]


def condition(collector: Running) -> str:
    collector.collector.health.look()
    found = {item["name"]: item["state"] for item in collector.api.get("health")["conditions"]}
    return str(found["audit_log_broken"])


def replacements(collector: Running) -> list[dict[str, Any]]:
    return [row for row in collector.api.get("audit", stream="decisions") if row["kind"] == "key_replaced"]


def test_a_key_that_is_lost_is_told_everywhere_and_where_verification_begins(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path / "data") as first:
        for number in range(3):
            first.api.post("quarantine", {"plugin": f"p{number}", "reason": "by hand"})
        assert condition(first) == "inactive"
    old = place.key.read_text()
    lost = read_keyring(place.key).keys[0].id
    place.key.unlink()
    caplog.clear()
    with running(tmp_path / "data") as second:
        said = [record for record in caplog.records if "key replaced" in record.getMessage()]
        assert said[0].levelname == "ERROR"
        (decision,) = replacements(second)
        assert "earlier entries cannot be verified with this key" in decision["reason"]
        assert decision["evidence"]["missing"] == [lost]
        assert decision["sequence"] == 4
        assert condition(second) == "firing"
        answer = plugwarden("doctor", url=second.url)
        assert answer.returncode == 1
        assert "key replaced" in answer.stdout
        answer = plugwarden("audit", "verify", url=second.url)
        assert answer.returncode == 1
        words = " ".join(answer.stdout.split())
        assert "entries 1 to 3 are sealed with key" in words
        assert "all from entry 4 on" in words, answer.stdout
    with running(tmp_path / "data") as third:  # told again, and not written again
        assert condition(third) == "firing"
        assert len(replacements(third)) == 1
        third.api.post("audit/accept", {"reason": "the disk with the key is gone", "actor": "ann"})
        assert condition(third) == "inactive"
    with running(tmp_path / "data") as fourth:
        assert condition(fourth) == "inactive"
        assert fourth.api.get("audit/verify")["valid"]
    with place.key.open("a") as file:
        file.write(old)
    with running(tmp_path / "data") as fifth:
        assert fifth.api.get("audit/verify")["valid"]


def test_a_key_that_is_put_back_below_the_new_one_ends_it(place: Place, tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        first.api.post("quarantine", {"plugin": "a", "reason": "by hand"})
    old = place.key.read_text()
    place.key.write_text("n" * 64 + "\n")
    with running(tmp_path / "data") as second:
        assert condition(second) == "firing"
    with place.key.open("a") as file:
        file.write(old)
    with running(tmp_path / "data") as third:
        assert condition(third) == "inactive"
        assert third.api.get("audit/verify")["valid"]


def test_what_is_explained_is_recorded_and_passed_over(place: Place, tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        for number in range(4):
            first.api.post("quarantine", {"plugin": f"p{number}", "reason": "by hand"})
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


def test_a_kill_between_commit_and_head_is_not_taken_for_a_forgery(place: Place, tmp_path: Path) -> None:
    for seed in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "data")], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.01 + seed * 0.007)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        kept = Records(place.heads).load(_chain(tmp_path / "data"), (tmp_path / "data").resolve())
        assert kept is not None
        database = Database(tmp_path / "data")
        last = database.cursor().execute("select max(sequence) from decisions").fetchall()[0][0] or 0
        database.close()
        assert kept.heads[audit.DECISIONS].sequence <= last
        assert verified(tmp_path / "data").problems == ()
    assert last > 12, "it must have written something between the kills"


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.audit import Place
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.ledger.audit_log import AuditLog
from datetime import datetime
database = Database(Path(sys.argv[1]))
log = AuditLog(database, Place.of(), datetime(2026, 1, 1))
connection = database.cursor()
print("ready", flush=True)
while True:
    connection.execute("begin")
    head = log.append(connection, [Draft(datetime(2026, 1, 1), "noted", "a", "b", "c")])
    connection.execute("commit")
    log.advance(head)
"""


def _chain(folder: Path) -> str:
    database = Database(folder)
    try:
        with database.reading() as cursor:
            return chain_of(cursor)
    finally:
        database.close()


def test_the_key_is_made_private_and_once(place: Place) -> None:
    first = read_keyring(place.key)
    assert read_keyring(place.key) == first
    assert place.key.stat().st_mode & 0o777 == 0o600
    assert "k" * 8 not in repr(KEY)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [("short", 0o600, "less than 32"), ("# nothing", 0o600, "holds no key"), ("x" * 64, 0o644, "chmod 600")],
)
def test_a_key_that_is_no_secret_is_refused_with_what_to_do(content: str, mode: int, said: str, place: Place) -> None:
    place.key.parent.mkdir(parents=True)
    place.key.write_text(content)
    place.key.chmod(mode)
    with pytest.raises(SettingsError, match=said):
        read_keyring(place.key)


def test_a_key_in_the_data_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="proves nothing"):
        Place.of(tmp_path / "data/audit.key").check(tmp_path / "data")


def test_a_place_that_cannot_be_written_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="PLUGWARDEN_AUDIT_KEY_FILE"):
        read_keyring(tmp_path / "file/audit.key")


TEXTS = st.text(max_size=12)


@given(st.lists(TEXTS, min_size=4, max_size=4), st.lists(TEXTS, min_size=4, max_size=4))
def test_no_two_entries_have_the_same_seal(one: list[str], other: list[str]) -> None:
    def sealed(texts: list[str]) -> str:
        kind, actor, scope, reason = texts
        return seal(Draft(AT, kind, actor, scope, reason, says=actor), 1, GENESIS, KEY.current).hash

    assert (sealed(one) == sealed(other)) == (one == other)


def test_the_chains_cannot_be_taken_for_each_other() -> None:
    draft = Draft(AT, "noted", "a", "b", "c")
    entry = seal(draft, 1, GENESIS, KEY.current, ACCESS)
    row = {
        "sequence": 1, "time": AT, "kind": "noted", "actor": "a", "scope": "b", "reason": "c", "enforcement": None,
        "quarantine_id": None, "says": None, "evidence": entry.evidence_json, "key_id": entry.key_id,
        "previous_hash": GENESIS, "hash": entry.hash,
    }  # fmt: skip
    assert examine([row], KEY, stream=ACCESS).problem is None
    assert examine([row], KEY).problem == "entry 1 was changed after it was written"


def test_a_number_that_json_has_not_does_not_cost_the_decision() -> None:
    entry = seal(Draft(AT, "a", "b", "c", "d", evidence={"rate": float("nan"), "all": [float("inf")]}), 1, GENESIS)
    assert json.loads(entry.evidence_json) == {"rate": "nan", "all": ["inf"]}


# -- who ---------------------------------------------------------------------------------------------------------------


CI = "c" * 32


@pytest.fixture
def guarded(tmp_path: Path, rules: Path) -> Iterator[Running]:
    """A collector that three tokens lead to."""
    lines = tmp_path / "tokens"
    lines.write_text(f"ci operate,admin,read {CI}\nlooker read {'r' * 32}\nhost ingest {'i' * 32}\n")
    with running(tmp_path / "guarded", rules, token="t" * 32, PLUGWARDEN_TOKENS_FILE=str(lines)) as found:
        yield found


def test_who_acts_is_the_token_and_who_they_say_to_be_stands_apart(guarded: Running) -> None:
    api = CollectorClient(guarded.url, token=CI)
    held = api.post("quarantine", {"plugin": "a", "reason": "one", "actor": "root (through operator)"})
    api.post(f"quarantine/{held['id']}/release", {"reason": "two", "actor": "x\n2026 released by carol\u202e"})
    silence = api.post(
        "silences", {"matchers": {"plugin": "a"}, "seconds": 60, "comment": "three", "actor": "<b>root</b>"}
    )
    api.post(f"silences/{silence['id']}/end", {"reason": "four"})
    api.post("automation", {"frozen": True, "reason": "five", "actor": "ann"})
    api.post("automation", {"frozen": False, "reason": "six", "actor": "ann"})
    log = api.get("audit", stream="decisions")
    assert {row["actor"] for row in log} == {"ci"}
    assert [(row["kind"], row["reason"], row["says"]) for row in reversed(log)] == [
        ("quarantined", "one", "root (through operator)"),
        ("released", "two", "x 2026 released by carol\N{REPLACEMENT CHARACTER}"),
        ("silenced", "three", "<b>root</b>"),
        ("unsilenced", "four", None),
        ("frozen", "five", "ann"),
        ("unfrozen", "six", "ann"),
    ]
    assert api.get("quarantine")[0]["actor"] == 'ci (says: "root (through operator)")'
    assert silence["created_by"] == 'ci (says: "<b>root</b>")'
    api.close()


@pytest.mark.parametrize(
    "name", ["automation", " Automation ", "auto\u200bmation", "ａutomation", "Local  Operator", "plugwarden"]
)
def test_nobody_can_say_to_be_the_automation(collector: Running, name: str) -> None:
    with pytest.raises(ApiError, match="stands for the collector itself") as refusal:
        collector.api.post("quarantine", {"plugin": "a", "reason": "why", "actor": name})
    assert refusal.value.status == 422
    assert collector.api.get("audit", stream="decisions") == []


@given(st.text(max_size=300))
def test_what_is_said_is_one_bounded_line_that_misleads_nobody(text: str) -> None:
    try:
        said = claimed(text)
    except ValueError:
        return
    assert said is None or (len(said) <= 200 and said.isprintable() and '"' not in said)


@pytest.mark.parametrize("name", ["automation", "Plugwarden", "a(b)", 'a"b', "a" * 65, "a\u202eb"])
def test_a_token_cannot_have_a_name_that_stands_for_something_else(name: str, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"{name} read {'r' * 32}\n")
    with pytest.raises(SettingsError, match="line 1"):
        read_tokens({"PLUGWARDEN_TOKENS_FILE": str(tmp_path / "tokens")})


# -- what --------------------------------------------------------------------------------------------------------------


def seen_in(collector: Running, kind: str, token: str | None = None) -> list[dict[str, Any]]:
    with CollectorClient(collector.url, token=token or "t" * 32) as api:
        return [row for row in api.get("audit", stream="access") if row["kind"] == kind]


def test_reads_with_sql_are_on_record_and_repeats_are_folded(guarded: Running) -> None:
    with CollectorClient(guarded.url, token="r" * 32) as api:
        for _ in range(40):
            api.query("select 1 as one")
        api.query("select count(*) from spans where plugin_id = $secret", {"secret": "not for the log"})
    found = seen_in(guarded, "sql_read")
    assert sorted(row["reason"] for row in found) == [
        "select 1 as one",
        "select count(*) from spans where plugin_id = $secret",
    ]
    assert {row["actor"] for row in found} == {"looker"}
    assert "not for the log" not in json.dumps(found)


def test_a_backup_is_on_record(guarded: Running) -> None:
    assert httpx2.get(f"{guarded.url}/api/v1/backup", headers={"authorization": f"Bearer {CI}"}).status_code == 200
    (row,) = seen_in(guarded, "backup_read")
    assert (row["actor"], row["evidence"]["peer"]) == ("ci", "127.0.0.1")


def test_refused_tokens_are_on_record_without_the_token(guarded: Running) -> None:
    guess = "0123456789abcdef-guess"
    for number in range(30):
        headers = {"authorization": f"Bearer {guess}{number}"}
        assert httpx2.get(f"{guarded.url}/api/v1/plugins", headers=headers).status_code == 401
        assert (
            httpx2.post(
                f"{guarded.http}/v1/logs", headers={**headers, "content-type": "application/x-protobuf"}
            ).status_code
            == 401
        )
    assert httpx2.get(f"{guarded.url}/api/v1/plugins").status_code == 401
    headers = {"authorization": f"Bearer {'r' * 32}"}
    assert (
        httpx2.post(
            f"{guarded.url}/api/v1/automation", headers=headers, json={"frozen": True, "reason": "why"}
        ).status_code
        == 403
    )
    channel = grpc.insecure_channel(guarded.grpc)
    export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    with pytest.raises(grpc.RpcError):
        export(b"", metadata=[("authorization", f"Bearer {guess}")], timeout=10)
    channel.close()
    found = seen_in(guarded, "refused")
    assert {(row["actor"], row["scope"], row["reason"]) for row in found} == {
        ("stranger at 127.0.0.1", "GET /api/v1/plugins", "an unknown token"),
        ("stranger at 127.0.0.1", "GET /api/v1/plugins", "no token"),
        ("stranger at 127.0.0.1", "OTLP/HTTP logs", "no token, or an unknown one"),
        ("stranger at 127.0.0.1", "OTLP/gRPC traces", "no token, or an unknown one"),
        ("looker", "POST /api/v1/automation", "lacks the scope admin"),
    }
    assert guess not in json.dumps(found)


def test_pushed_alerts_are_on_record_once_a_changed_set(guarded: Running) -> None:
    alert = {"labels": {"alertname": "everything is on fire", "plugin": "p0", "severity": "page"}}
    for _ in range(5):
        httpx2.post(f"{guarded.url}/api/v2/alerts", json=[alert], headers={"authorization": f"Bearer {CI}"})
    (row,) = seen_in(guarded, "alerts_pushed")
    assert (row["actor"], row["reason"]) == ("ci", "1 alerts: everything is on fire p0 page firing")


def test_rules_are_on_record_with_what_they_said_and_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    secret = "\n[[receiver]]\nname = 'chat'\nurl = 'https://user:pw@chat.example/hook/S3CR3T?k=S3CR3T'\nseverities = ['page']\n"
    path.write_text(RULES + secret)
    with running(tmp_path / "data", path) as first:
        (row,) = seen_in(first, "started")
        assert 'enforcement = "enforce"' in row["evidence"]["rules"]["content"]
        path.write_text(RULES.replace("0.99", "0.95") + secret)
        first.collector.warden.reload(path)
        loaded = first.api.get("audit", stream="decisions")[0]
        assert (loaded["kind"], "0.95" in loaded["evidence"]["content"]) == ("rules_loaded", True)
        assert loaded["evidence"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        everything = json.dumps(first.api.get("audit"))
        assert "https://chat.example/" in everything
        assert "S3CR3T" not in everything
        assert "pw@" not in everything
    with running(tmp_path / "data", path) as second:
        assert len(seen_in(second, "started")) == 2
    with running(tmp_path / "data", path) as third:
        assert "content" not in seen_in(third, "started")[0]["evidence"]["rules"], (
            "the same text is not stored at each start"
        )
        assert third.api.get("audit/verify")["valid"]


def test_the_access_log_is_sealed_and_kept_like_the_decisions(place: Place, tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        first.api.query("select 1")
        first.api.query("select 2")
        first.api.get("audit/head")
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    connection.execute("delete from access_log where sequence > 1")
    connection.close()
    assert "the access log was cut" in verified(tmp_path / "data").problems[0]


# -- folding -----------------------------------------------------------------------------------------------------------


def entries(folding: Folding, seconds: float, **options: Any) -> list[tuple[str, int]]:
    return [
        (draft.reason, draft.evidence["count"]) for draft in folding.due(AT + timedelta(seconds=seconds), **options)
    ]  # type: ignore[index]


def test_the_first_is_told_at_once_and_repeats_once_a_window() -> None:
    folding, seen = Folding(), Seen("sql_read", "a", "s", "select 1")
    for second in range(900):
        folding.note(seen, AT + timedelta(seconds=second), {})
        assert entries(folding, second) == {
            0: [("select 1", 1)],
            300: [("select 1", 300)],
            600: [("select 1", 300)],
        }.get(second, [])
    assert entries(folding, 900) == [("select 1", 299)]
    assert entries(folding, 1300) == []
    assert folding.kept == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400), st.integers(0, 3)), max_size=400))
def test_nothing_that_happened_is_left_out_of_the_counts(events: list[tuple[int, int, int]]) -> None:
    folding, told = Folding(), 0
    for second, (step, what, actor) in enumerate(events):
        at = AT + timedelta(seconds=second * step)
        folding.note(Seen("sql_read", str(actor), "s", str(what)), at, {})
        told += sum(draft.evidence["count"] for draft in folding.due(at))  # type: ignore[index]
    told += sum(draft.evidence["count"] for draft in folding.due(AT, everything=True))  # type: ignore[index]
    assert told == len(events)


def test_who_asks_ever_new_things_fills_neither_the_log_nor_the_memory_and_hides_nobody() -> None:
    folding, entries_total = Folding(), 0
    for number in range(30_000):
        at = AT + timedelta(milliseconds=10 * number)
        folding.note(Seen("sql_read", "noisy", "s", str(number)), at, {})
        if number == 20_000:
            folding.note(Seen("sql_read", "quiet", "s", "select 1"), at, {})
            folding.note(Seen("backup_read", "noisy", "store", "a backup"), at, {})
        if number % 100 == 0:
            drafts = folding.due(at)
            entries_total += len(drafts)
            if number == 20_000:
                assert {draft.actor for draft in drafts if draft.kind == "sql_read"} >= {"quiet"}
                assert any(draft.kind == "backup_read" for draft in drafts)
    assert entries_total < 200
    assert len(folding.kept) < 100
    assert folding.overflowed > 29_000


def test_old_entries_of_the_access_log_go_by_count_and_the_rest_still_verifies(place: Place, tmp_path: Path) -> None:
    with opened(tmp_path / "data") as store:
        log = AuditLog(store.database, place, AT)
        drafts = [Draft(AT, "sql_read", "a", "s", str(number)) for number in range(130)]
        log.advance(store.writer.run(lambda c: log.append(c, drafts, ACCESS)).result(), ACCESS)
        far = AT + timedelta(days=500)
        for keep, left in ((100, 100), (100, 100), (50, 50)):
            log.advance(store.writer.run(lambda c, keep=keep: trim(c, keep, far, log.keyring)).result())
            found = log.verify()
            assert (found.problems, found.verdicts[ACCESS].count, found.verdicts[ACCESS].first) == (
                (),
                left,
                131 - left,
            )
        assert len(store.database.fetch(statement("chain"))) == 2, "a trim that lets little go is put off"
        connection = store.database.cursor()
        connection.execute("delete from access_log where sequence < 100")
        assert "entry 81 is missing" in log.verify().problems[0]
        connection.close()
        log.close()


def test_the_metrics_carry_the_head(collector: Running) -> None:
    collector.api.post("quarantine", {"plugin": "a", "reason": "why"})
    head = collector.api.get("audit/head")["decisions"]
    text = httpx2.get(f"{collector.url}/metrics").text
    assert f'plugwarden_audit_head{{hash="{head["hash"]}",stream="decisions"}} 1.0' in text
    assert 'plugwarden_audit_entries{stream="decisions"} 1.0' in text


def test_a_log_that_was_cut_pages_somebody_who_then_holds_its_head(place: Place, tmp_path: Path) -> None:
    told: queue.Queue[dict[str, Any]] = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    write(tmp_path / "data", 3)
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    connection.execute("delete from decisions where sequence > 1")
    connection.close()
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        rules = tmp_path / "rules.toml"
        url = f"http://127.0.0.1:{server.server_port}"
        rules.write_text(f"{RULES}\n[[receiver]]\nname = 'pager'\nurl = '{url}'\nseverities = ['page']\n")
        with running(tmp_path / "data", rules) as collector:
            collector.collector.health.look()
            body = told.get(timeout=20)
            assert "entries 2 to 3 are missing" in json.dumps(body["alerts"])
            assert body["auditHead"] == collector.api.get("audit/head")["decisions"]
        server.shutdown()


def test_acts_go_on_while_the_disk_takes_no_head_and_it_is_counted(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "RETRY_SECONDS", 0.05)
    save, full = Records.save, threading.Event()

    def refuse(self: Records, heads: Heads) -> None:
        if full.is_set():
            raise SettingsError("No space left on device")
        save(self, heads)

    monkeypatch.setattr(Records, "save", refuse)

    def kept() -> int:
        found = Records(place.heads).load(log.told()["chain"], (tmp_path / "data").resolve())
        assert found is not None
        return found.heads[audit.DECISIONS].sequence

    with running(tmp_path / "data") as collector:
        log = collector.collector.audit
        full.set()
        for number in range(3):
            collector.api.post("quarantine", {"plugin": f"p{number}", "reason": "why"})
        assert collector.api.get("audit/verify")["valid"]
        assert kept() == 0
        eventually(lambda: log.failures)
        full.clear()
        eventually(lambda: kept() == 3)


def test_a_key_that_anybody_can_replace_is_refused(place: Place) -> None:
    read_keyring(place.key)
    place.key.parent.chmod(0o777)
    with pytest.raises(SettingsError, match="anybody can put another key there"):
        read_keyring(place.key)


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
    collector.api.post("quarantine", {"plugin": "a", "reason": "an act of a person"})
    going.set()
    for thread in ask:
        thread.join()
    assert sorted(answers) == [200] * 8 + [503] * 12
